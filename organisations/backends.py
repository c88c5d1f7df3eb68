"""Answers Django's permission question for objects of an organisation, from the person's membership."""

from typing import Any

from django.contrib.auth.backends import ModelBackend

from dokreg import permissions
from organisations.models import Membership, Organisation


class MembershipBackend(ModelBackend):
    """`user.has_perm("registries.add_registry", organisation)`; without an object Django's own answer.

    The object is an organisation, or a row that belongs to one. Nothing is cached between two questions, so a
    revoked permission is gone at once.
    """

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if obj is None:
            return bool(super().has_perm(user_obj, perm))
        permissions.check_known([perm])
        if not user_obj.is_active or user_obj.is_anonymous:
            return False
        organisation = obj.pk if isinstance(obj, Organisation) else obj.organisation_id
        membership = Membership.objects.filter(user=user_obj, organisation=organisation).first()
        return membership is not None and perm in membership
