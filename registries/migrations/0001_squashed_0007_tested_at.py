"""The tables as 0007_tested_at leaves them, made at once: an empty database needs none of the steps that led there.

Databases that have some of those steps go on by the rest of them.
"""

import django.db.models.deletion
import django.utils.timezone
import dokreg.encryption
import dokreg.ids
import organisations.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("registries", "0001_initial"),
        ("registries", "0002_tokens_logins_fleet"),
        ("registries", "0003_catalog"),
        ("registries", "0004_use_registry"),
        ("registries", "0005_rotation_changes_more"),
        ("registries", "0006_large_databases"),
        ("registries", "0007_tested_at"),
    ]

    dependencies = [
        ("organisations", "0001_squashed_0007_large_databases"),
        ("servers", "0001_squashed_0005_large_databases"),
    ]

    operations = [
        migrations.CreateModel(
            name="Registry",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="registries",
                        to="organisations.organisation",
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="registry name")),
                (
                    "kind",
                    models.CharField(
                        help_text="The slug of a class under registries/kinds/.", max_length=30, verbose_name="provider"
                    ),
                ),
                (
                    "url",
                    models.CharField(
                        help_text="The host alone, or host:port.", max_length=260, verbose_name="registry URL"
                    ),
                ),
                (
                    "username",
                    models.CharField(blank=True, help_text="Empty where the secret stands for it.", max_length=255),
                ),
                (
                    "method",
                    models.CharField(
                        blank=True,
                        help_text="How tokens are minted: a method of the provider's class; empty: the secret is used as it is.",
                        max_length=30,
                    ),
                ),
                (
                    "account",
                    models.JSONField(
                        blank=True, default=dict, help_text="What the method wants to know and is no secret."
                    ),
                ),
                (
                    "password",
                    dokreg.encryption.OptionalSecretField(
                        editable=False, help_text="The long-lived secret; none where a method needs none.", null=True
                    ),
                ),
                ("image_prefix", models.CharField(blank=True, max_length=200)),
                (
                    "server",
                    models.ForeignKey(
                        blank=True,
                        help_text="Where it is tested; empty: dokreg's own host.",
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="registries",
                        to="servers.server",
                    ),
                ),
                (
                    "secret_fact",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="What may be shown of the secret, such as whose key it is.",
                        max_length=255,
                    ),
                ),
                ("secret_changed_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "secret_ends_on",
                    models.DateField(
                        blank=True,
                        help_text="The day on which the provider ends the secret, if it does.",
                        null=True,
                        verbose_name="ends on",
                    ),
                ),
                (
                    "credentials_mark",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="Of what is stored: tells whether a test was of it.",
                        max_length=64,
                    ),
                ),
                (
                    "login_mark",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="Of what docker login is given: changes with the token.",
                        max_length=64,
                    ),
                ),
                ("token", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
                ("token_issued_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("token_expires_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "refresh_due_at",
                    models.DateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When the next token is minted; empty: not by itself.",
                        null=True,
                    ),
                ),
                (
                    "refresh_failures",
                    models.PositiveIntegerField(
                        default=0, editable=False, help_text="Failed tries since the last token."
                    ),
                ),
                (
                    "tested_at",
                    models.DateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When its last test was asked for: what lists are ordered by.",
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "registries",
                "ordering": ["name"],
                "permissions": [("use_registry", "Can use a registry for applications")],
                "indexes": [
                    models.Index(fields=["organisation", "url", "id"], name="registry_by_url"),
                    models.Index(fields=["organisation", "username", "id"], name="registry_by_username"),
                    models.Index(fields=["organisation", "created_at"], name="registry_by_age"),
                    models.Index(fields=["organisation", "kind", "name"], name="registry_by_kind"),
                    models.Index(fields=["refresh_due_at"], name="registry_by_refresh"),
                    models.Index(
                        condition=models.Q(("method__gt", "")),
                        fields=["token_expires_at"],
                        name="registry_by_token_end",
                    ),
                    models.Index(
                        condition=models.Q(("secret_ends_on__isnull", False)),
                        fields=["secret_ends_on"],
                        name="registry_by_secret_end",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "name"),
                        name="registry_name_once",
                        violation_error_message="Another registry of this organisation has this name.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Alarm",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "registry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="alarms", to="registries.registry"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("refresh_failing", "Refreshing fails"),
                            ("token_expired", "Token expired"),
                            ("not_working", "Stopped working"),
                            ("ends_soon", "Secret ends soon"),
                        ],
                        max_length=20,
                    ),
                ),
                ("text", models.TextField(blank=True, help_text="What people were told.")),
                ("place", models.CharField(blank=True, help_text="Where it showed: a server's name.", max_length=100)),
                (
                    "stage",
                    models.PositiveSmallIntegerField(default=0, help_text="How many days before an end it was told."),
                ),
                ("cleared_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-created_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("cleared_at__isnull", True)),
                        fields=("registry", "kind", "place"),
                        name="one_open_alarm_of_a_kind",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CatalogLook",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("passed", "Passed"),
                            ("failed", "Failed"),
                            ("lost", "Lost"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("rungs", models.JSONField(default=list, help_text="The ladder: see servers.ladder.")),
                (
                    "verdict",
                    models.CharField(
                        blank=True, help_text="The code of the cause; empty if all is well.", max_length=60
                    ),
                ),
                (
                    "revision",
                    models.PositiveIntegerField(default=0, help_text="Counts what a page may have to show anew."),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "sent_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="When the broker was last given its id; empty: its turn comes later.",
                        null=True,
                    ),
                ),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("claim", models.CharField(blank=True, help_text="Of the worker that runs it.", max_length=21)),
                (
                    "worker",
                    models.CharField(
                        blank=True, help_text="The process that runs it: machine and number.", max_length=300
                    ),
                ),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                (
                    "registry",
                    models.ForeignKey(
                        blank=True,
                        help_text="Whose account is used; empty: none.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="looks",
                        to="registries.registry",
                    ),
                ),
                ("url", models.CharField(help_text="The registry's host.", max_length=260)),
                (
                    "server",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="looks",
                        to="servers.server",
                    ),
                ),
                (
                    "server_name",
                    models.CharField(
                        blank=True, help_text="As it was called then; empty: dokreg's own host.", max_length=100
                    ),
                ),
                (
                    "repository",
                    models.CharField(
                        blank=True,
                        help_text="The path of the one whose tags are listed; empty: repositories are.",
                        max_length=255,
                    ),
                ),
                ("answer", models.JSONField(blank=True, default=dict)),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "created_at"],
                        name="catalog_look_due",
                    ),
                    models.Index(fields=["created_at"], name="catalog_look_by_age"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Quota",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("host", models.CharField(max_length=260)),
                (
                    "registry",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="quotas",
                        to="registries.registry",
                    ),
                ),
                (
                    "server",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="quotas",
                        to="servers.server",
                    ),
                ),
                ("limit", models.PositiveIntegerField(blank=True, null=True)),
                ("remaining", models.PositiveIntegerField(blank=True, null=True)),
                ("window_seconds", models.PositiveIntegerField(blank=True, null=True)),
                (
                    "source",
                    models.CharField(
                        blank=True, help_text="Whose quota it is: an address, or the id of an account.", max_length=100
                    ),
                ),
                ("seen_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["-seen_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("registry__isnull", False), ("server__isnull", False)),
                        fields=("organisation", "host", "registry", "server"),
                        name="one_quota_per_account_and_server",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("registry__isnull", False), ("server__isnull", True)),
                        fields=("organisation", "host", "registry"),
                        name="one_quota_per_account_at_home",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("registry__isnull", True), ("server__isnull", False)),
                        fields=("organisation", "host", "server"),
                        name="one_quota_per_server",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("registry__isnull", True), ("server__isnull", True)),
                        fields=("organisation", "host"),
                        name="one_quota_at_home",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Draft",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                ("values", models.JSONField(default=dict, help_text="Form field → text; nothing secret.")),
                ("password", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["expires_at"], name="draft_by_end")],
            },
        ),
        migrations.CreateModel(
            name="Login",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "registry",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="logins",
                        to="registries.registry",
                    ),
                ),
                ("registry_name", models.CharField(max_length=100)),
                (
                    "server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="logins", to="servers.server"
                    ),
                ),
                ("url", models.CharField(max_length=260)),
                ("username", models.CharField(blank=True, max_length=255)),
                (
                    "folder",
                    models.CharField(
                        blank=True,
                        help_text="Of a config of its own; empty: the config of the SSH user.",
                        max_length=60,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("held", "Logged in"),
                            ("failed", "Failed"),
                            ("leaving", "Logging out"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("mark", models.CharField(blank=True, help_text="Of what docker login was given last.", max_length=64)),
                ("logged_in_at", models.DateTimeField(blank=True, null=True)),
                (
                    "left_at",
                    models.DateTimeField(blank=True, help_text="Since when it is to be logged out.", null=True),
                ),
                (
                    "due_at",
                    models.DateTimeField(
                        blank=True, help_text="When it is tried next; empty: nothing is to do.", null=True
                    ),
                ),
                ("failures", models.PositiveIntegerField(default=0)),
                ("verdict", models.CharField(blank=True, max_length=60)),
                ("cause", models.TextField(blank=True)),
                ("fix", models.TextField(blank=True)),
                ("words", models.TextField(blank=True, help_text="Docker's own, without secrets.")),
            ],
            options={
                "ordering": ["server__name", "registry_name"],
                "indexes": [
                    models.Index(fields=["due_at"], name="login_by_due"),
                    models.Index(fields=["server", "url"], name="login_by_url"),
                    models.Index(condition=models.Q(("state", "failed")), fields=["organisation"], name="login_failed"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("registry__isnull", False)),
                        fields=("registry", "server"),
                        name="one_login_per_pair",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ConfigCheck",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("passed", "Passed"),
                            ("failed", "Failed"),
                            ("lost", "Lost"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("rungs", models.JSONField(default=list, help_text="The ladder: see servers.ladder.")),
                (
                    "verdict",
                    models.CharField(
                        blank=True, help_text="The code of the cause; empty if all is well.", max_length=60
                    ),
                ),
                (
                    "revision",
                    models.PositiveIntegerField(default=0, help_text="Counts what a page may have to show anew."),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "sent_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="When the broker was last given its id; empty: its turn comes later.",
                        null=True,
                    ),
                ),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("claim", models.CharField(blank=True, help_text="Of the worker that runs it.", max_length=21)),
                (
                    "worker",
                    models.CharField(
                        blank=True, help_text="The process that runs it: machine and number.", max_length=300
                    ),
                ),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                (
                    "server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="config_checks", to="servers.server"
                    ),
                ),
                ("findings", models.JSONField(default=list)),
                (
                    "adopts",
                    models.JSONField(
                        blank=True, default=dict, help_text="host and folder of the login that is adopted."
                    ),
                ),
                (
                    "draft",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="registries.draft",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["server", "-created_at"], name="config_check_history"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "created_at"],
                        name="config_check_due",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Rotation",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "registry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="rotations", to="registries.registry"
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("staged", "Preparing"),
                            ("testing", "Testing"),
                            ("switched", "Switched"),
                            ("kept", "Not switched"),
                            ("discarded", "Discarded"),
                        ],
                        default="staged",
                        max_length=10,
                    ),
                ),
                (
                    "kind",
                    models.CharField(blank=True, help_text="Of the new credentials; empty: as it was.", max_length=30),
                ),
                ("url", models.CharField(max_length=260)),
                ("username", models.CharField(blank=True, max_length=255)),
                ("method", models.CharField(blank=True, max_length=30)),
                ("account", models.JSONField(blank=True, default=dict)),
                ("secret_ends_on", models.DateField(blank=True, null=True)),
                (
                    "also",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text="Columns of the registry that change with its credentials, or not at all.",
                    ),
                ),
                ("password", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
                ("token", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
                ("token_issued_at", models.DateTimeField(blank=True, null=True)),
                ("token_expires_at", models.DateTimeField(blank=True, null=True)),
                ("cause", models.TextField(blank=True, help_text="Why it was not switched, if no test says so.")),
                ("fix", models.TextField(blank=True)),
                ("words", models.TextField(blank=True)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "expires_at",
                    models.DateTimeField(blank=True, help_text="When its secrets are wiped at the latest.", null=True),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [models.Index(fields=["state", "expires_at"], name="rotation_by_end")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["staged", "testing"])),
                        fields=("registry",),
                        name="one_rotation_at_a_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TestBatch",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "registry",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="batches",
                        to="registries.registry",
                    ),
                ),
                (
                    "server",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="batches",
                        to="servers.server",
                    ),
                ),
                (
                    "rotation",
                    models.OneToOneField(
                        blank=True,
                        help_text="Whose tests it is.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="batch",
                        to="registries.rotation",
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("total", models.PositiveIntegerField(default=0)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "test batches",
                "ordering": ["-created_at"],
                "indexes": [models.Index(fields=["organisation", "-created_at"], name="test_batch_by_age")],
            },
        ),
        migrations.CreateModel(
            name="RegistryTest",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("passed", "Passed"),
                            ("failed", "Failed"),
                            ("lost", "Lost"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("rungs", models.JSONField(default=list, help_text="The ladder: see servers.ladder.")),
                (
                    "verdict",
                    models.CharField(
                        blank=True, help_text="The code of the cause; empty if all is well.", max_length=60
                    ),
                ),
                (
                    "revision",
                    models.PositiveIntegerField(default=0, help_text="Counts what a page may have to show anew."),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "sent_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="When the broker was last given its id; empty: its turn comes later.",
                        null=True,
                    ),
                ),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("claim", models.CharField(blank=True, help_text="Of the worker that runs it.", max_length=21)),
                (
                    "worker",
                    models.CharField(
                        blank=True, help_text="The process that runs it: machine and number.", max_length=300
                    ),
                ),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                (
                    "registry",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tests",
                        to="registries.registry",
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="tests",
                        to="registries.testbatch",
                    ),
                ),
                (
                    "rotation",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="tests",
                        to="registries.rotation",
                    ),
                ),
                (
                    "server",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="registry_tests",
                        to="servers.server",
                    ),
                ),
                (
                    "server_name",
                    models.CharField(
                        blank=True, help_text="As it was called then; empty: dokreg's own host.", max_length=100
                    ),
                ),
                ("image", models.CharField(blank=True, help_text="Whose pull right is tested.", max_length=512)),
                ("kind", models.CharField(max_length=30)),
                ("url", models.CharField(max_length=260)),
                (
                    "username",
                    models.CharField(blank=True, help_text="Empty where the secret stands for it.", max_length=255),
                ),
                ("image_prefix", models.CharField(blank=True, max_length=200)),
                ("method", models.CharField(blank=True, max_length=30)),
                ("account", models.JSONField(blank=True, default=dict)),
                ("draft_password", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
                (
                    "to_tidy",
                    models.BooleanField(
                        default=False, help_text="It was cut off, and may have left a folder on the server."
                    ),
                ),
                (
                    "credentials_mark",
                    models.CharField(blank=True, help_text="Tells equal credentials apart.", max_length=64),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["registry", "-created_at"], name="registry_test_history"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "created_at"],
                        name="registry_test_due",
                    ),
                    models.Index(fields=["organisation", "credentials_mark"], name="registry_test_mark"),
                    models.Index(fields=["batch", "state", "sent_at", "created_at"], name="registry_test_batch"),
                    models.Index(
                        condition=models.Q(("to_tidy", True)), fields=["created_at"], name="registry_test_to_tidy"
                    ),
                    models.Index(
                        condition=models.Q(("state", "passed"), ("verdict", ""), _negated=True),
                        fields=["organisation"],
                        name="registry_test_not_plain",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Standing",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "registry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="standings", to="registries.registry"
                    ),
                ),
                (
                    "server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="standings", to="servers.server"
                    ),
                ),
                (
                    "last_test",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="registries.registrytest",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("registry", "server"), name="one_standing_per_pair")],
            },
        ),
        migrations.CreateModel(
            name="TokenRefresh",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="%(class)ss",
                        to="organisations.organisation",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("passed", "Passed"),
                            ("failed", "Failed"),
                            ("lost", "Lost"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("rungs", models.JSONField(default=list, help_text="The ladder: see servers.ladder.")),
                (
                    "verdict",
                    models.CharField(
                        blank=True, help_text="The code of the cause; empty if all is well.", max_length=60
                    ),
                ),
                (
                    "revision",
                    models.PositiveIntegerField(default=0, help_text="Counts what a page may have to show anew."),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "sent_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="When the broker was last given its id; empty: its turn comes later.",
                        null=True,
                    ),
                ),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("claim", models.CharField(blank=True, help_text="Of the worker that runs it.", max_length=21)),
                (
                    "worker",
                    models.CharField(
                        blank=True, help_text="The process that runs it: machine and number.", max_length=300
                    ),
                ),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                (
                    "registry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="refreshes", to="registries.registry"
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("due", "It was due"),
                            ("saved", "The credentials were saved"),
                            ("needed", "A test needed it"),
                            ("asked", "Somebody asked for it"),
                        ],
                        default="due",
                        max_length=10,
                    ),
                ),
                ("issued_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "token refreshes",
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["registry", "-created_at"], name="token_refresh_history"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "created_at"],
                        name="token_refresh_due",
                    ),
                    models.Index(fields=["created_at"], name="token_refresh_by_age"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=("registry",),
                        name="one_refresh_at_a_time",
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="registry",
            name="last_refresh",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="registries.tokenrefresh",
            ),
        ),
        migrations.AddField(
            model_name="registry",
            name="last_test",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="registries.registrytest",
            ),
        ),
    ]
