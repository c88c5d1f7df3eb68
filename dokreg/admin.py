"""The installation itself in Django's admin."""

from django.contrib import admin

from dokreg.models import Heartbeat
from dokreg.read_only_admin import ReadOnlyAdmin

admin.site.site_header = admin.site.site_title = "dokreg"
admin.site.index_title = "Administration"


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["name", "at"]
    search_fields = ["name"]
