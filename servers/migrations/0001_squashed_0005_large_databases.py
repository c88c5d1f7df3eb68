"""The tables as 0005_large_databases leaves them, made at once: an empty database needs none of the steps that led there.

Databases that have some of those steps go on by the rest of them.
"""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import dokreg.encryption
import dokreg.ids
import organisations.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("servers", "0001_initial"),
        ("servers", "0002_run_sent_at"),
        ("servers", "0003_config_turn"),
        ("servers", "0004_descriptions"),
        ("servers", "0005_large_databases"),
    ]

    dependencies = [
        # Not needed here, but quicker now: each of their steps has Django make every model anew that refers to people.
        ("auditlog", "0017_add_actor_email"),
        ("axes", "0010_accessattemptexpiration"),
        ("organisations", "0001_squashed_0007_large_databases"),
    ]

    operations = [
        migrations.CreateModel(
            name="SSHKey",
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
                ("name", models.CharField(max_length=100)),
                ("description", models.CharField(blank=True, max_length=300)),
                ("public_key", models.TextField(editable=False, help_text="OpenSSH line: type and key.")),
                ("private_key", dokreg.encryption.SecretField(editable=False)),
            ],
            options={
                "verbose_name": "SSH key",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "name"),
                        name="ssh_key_name_once",
                        violation_error_message="Another SSH key of this organisation has this name.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Server",
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
                ("name", models.CharField(max_length=100)),
                ("description", models.CharField(blank=True, max_length=300)),
                ("host", models.CharField(help_text="Host name or IP address.", max_length=253)),
                (
                    "port",
                    models.PositiveIntegerField(
                        default=22,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(65535),
                        ],
                    ),
                ),
                (
                    "user",
                    models.CharField(
                        default="root",
                        help_text="In the group docker, or root.",
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}\\$?\\Z",
                                "Enter the user's name as the server knows it, such as deploy.",
                            )
                        ],
                    ),
                ),
                (
                    "ssh_key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="servers",
                        to="servers.sshkey",
                        verbose_name="SSH key",
                    ),
                ),
                (
                    "host_key",
                    models.TextField(blank=True, editable=False, help_text="Pinned by a person; OpenSSH line."),
                ),
                (
                    "seen_host_key",
                    models.TextField(blank=True, editable=False, help_text="Shown last, not confirmed yet."),
                ),
            ],
            options={
                "ordering": ["name"],
                "permissions": [("trust_server", "Can confirm the host key of a server")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "name"),
                        name="server_name_once",
                        violation_error_message="Another server of this organisation has this name.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ServerTest",
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
                        on_delete=django.db.models.deletion.CASCADE, related_name="tests", to="servers.server"
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["server", "-created_at"], name="server_test_history"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "created_at"],
                        name="server_test_due",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ConfigTurn",
            fields=[
                (
                    "server",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="config_turn",
                        serialize=False,
                        to="servers.server",
                    ),
                ),
                (
                    "claim",
                    models.CharField(blank=True, help_text="Of whoever has the turn; empty if nobody.", max_length=21),
                ),
                (
                    "worker",
                    models.CharField(
                        blank=True, help_text="The process that has it: machine and number.", max_length=300
                    ),
                ),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                (
                    "sent_at",
                    models.DateTimeField(
                        blank=True, help_text="When the broker was last given the server's id.", null=True
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="server",
            name="last_test",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="servers.servertest",
            ),
        ),
    ]
