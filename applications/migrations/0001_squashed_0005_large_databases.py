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
        ("applications", "0001_applications"),
        ("applications", "0002_webhooks"),
        ("applications", "0003_order_and_signatures"),
        ("applications", "0004_descriptions"),
        ("applications", "0005_large_databases"),
    ]

    dependencies = [
        ("organisations", "0001_squashed_0007_large_databases"),
        ("registries", "0001_squashed_0007_tested_at"),
        ("servers", "0001_squashed_0005_large_databases"),
    ]

    operations = [
        migrations.CreateModel(
            name="Project",
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
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "name"),
                        name="project_name_once",
                        violation_error_message="Another project of this organisation has this name.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Application",
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
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="applications",
                        to="applications.project",
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("description", models.CharField(blank=True, max_length=300)),
                (
                    "server",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="applications", to="servers.server"
                    ),
                ),
                (
                    "registry",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.RESTRICT,
                        related_name="applications",
                        to="registries.registry",
                    ),
                ),
                ("image", models.CharField(max_length=1024)),
                (
                    "container_name",
                    models.CharField(
                        max_length=63,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}\\Z",
                                "Use letters, digits, “-”, “_” and “.”, with a letter or a digit first; 63 characters at most.",
                            )
                        ],
                    ),
                ),
                ("ports", models.JSONField(blank=True, default=list)),
                ("environment", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
                ("environment_names", models.JSONField(blank=True, default=list, editable=False)),
                ("environment_changed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("volumes", models.JSONField(blank=True, default=list)),
                ("command", models.JSONField(blank=True, default=list)),
                (
                    "restart_policy",
                    models.CharField(
                        choices=[
                            ("unless-stopped", "Unless stopped"),
                            ("always", "Always"),
                            ("on-failure", "On failure"),
                            ("no", "Never"),
                        ],
                        default="unless-stopped",
                        max_length=20,
                    ),
                ),
                (
                    "network",
                    models.CharField(
                        default="bridge",
                        max_length=63,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}\\Z",
                                "Enter the name of a network, such as bridge, host or none.",
                            )
                        ],
                    ),
                ),
                ("health_command", models.CharField(blank=True, max_length=1000)),
                (
                    "health_interval_seconds",
                    models.PositiveIntegerField(
                        default=10,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(3600),
                        ],
                    ),
                ),
                (
                    "health_timeout_seconds",
                    models.PositiveIntegerField(
                        default=5,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(600),
                        ],
                    ),
                ),
                (
                    "health_retries",
                    models.PositiveIntegerField(
                        default=3,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "health_start_seconds",
                    models.PositiveIntegerField(default=0, validators=[django.core.validators.MaxValueValidator(3600)]),
                ),
                (
                    "memory_mb",
                    models.PositiveIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(6)]
                    ),
                ),
                (
                    "cpus",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        max_digits=6,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0.01)],
                    ),
                ),
                (
                    "order",
                    models.CharField(
                        choices=[
                            ("auto", "As its ports and volumes allow"),
                            ("start_first", "Start the new container first"),
                            ("stop_first", "Stop the old container first"),
                        ],
                        default="auto",
                        max_length=20,
                    ),
                ),
                (
                    "settle_seconds",
                    models.PositiveIntegerField(default=3, validators=[django.core.validators.MaxValueValidator(300)]),
                ),
                (
                    "stop_seconds",
                    models.PositiveIntegerField(default=10, validators=[django.core.validators.MaxValueValidator(300)]),
                ),
                ("settings_changed_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("webhook_key", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
                ("webhook_key_hash", models.CharField(blank=True, db_index=True, editable=False, max_length=64)),
                ("webhook_secret", dokreg.encryption.OptionalSecretField(editable=False, null=True)),
                (
                    "webhook_takes_unsigned",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="Beside a signing secret: whether senders that cannot sign may call.",
                    ),
                ),
                ("webhook_changed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "poll_minutes",
                    models.PositiveIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(10080)]
                    ),
                ),
                ("poll_due_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("polled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("polled_digest", models.CharField(blank=True, editable=False, max_length=140)),
                ("poll_failures", models.PositiveIntegerField(default=0, editable=False)),
                ("poll_cause", models.TextField(blank=True, editable=False)),
            ],
            options={
                "ordering": ["name"],
                "permissions": [("deploy_application", "Can deploy applications")],
                "indexes": [models.Index(fields=["poll_due_at"], name="application_by_poll")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project", "name"),
                        name="application_name_once",
                        violation_error_message="Another application of this project has this name.",
                    ),
                    models.UniqueConstraint(
                        fields=("server", "container_name"),
                        name="container_name_once",
                        violation_error_message="Another application on this server has a container of this name.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Deployment",
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
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("lost", "Lost"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deployments",
                        to="applications.application",
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("deploy", "Deploy"),
                            ("rollback", "Roll back"),
                            ("start", "Start"),
                            ("stop", "Stop"),
                            ("restart", "Restart"),
                            ("remove", "Remove the container"),
                            ("delete", "Delete"),
                            ("tidy", "Tidy up"),
                        ],
                        default="deploy",
                        max_length=10,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("asked", "Somebody asked for it"),
                            ("webhook", "A webhook asked for it"),
                            ("poll", "The tag has a new digest"),
                            ("lost", "What was lost is put right"),
                        ],
                        default="asked",
                        max_length=10,
                    ),
                ),
                (
                    "note",
                    models.CharField(
                        blank=True, help_text="What asked for it, such as a sender's name.", max_length=300
                    ),
                ),
                (
                    "server",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="deployments",
                        to="servers.server",
                    ),
                ),
                ("server_name", models.CharField(blank=True, max_length=100)),
                ("container_name", models.CharField(blank=True, max_length=63)),
                ("reference", models.CharField(blank=True, help_text="What is pulled, in full.", max_length=1200)),
                (
                    "digest",
                    models.CharField(blank=True, help_text="What the reference was resolved to.", max_length=140),
                ),
                ("container_id", models.CharField(blank=True, max_length=64)),
                (
                    "replaces",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="The containers of before, {id, ran}; see applications.recovery.",
                    ),
                ),
                ("log", models.TextField(blank=True)),
                ("progress", models.JSONField(blank=True, default=dict, help_text="See applications.pulling.")),
                ("cancel_asked_at", models.DateTimeField(blank=True, null=True)),
                ("cancel_asked_by", models.CharField(blank=True, max_length=150)),
                ("to_tidy", models.BooleanField(default=False, help_text="It may have left something on its server.")),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["application", "-created_at"], name="deployment_history"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "sent_at", "created_at"],
                        name="deployment_due",
                    ),
                    models.Index(condition=models.Q(("to_tidy", True)), fields=["to_tidy"], name="deployment_to_tidy"),
                    models.Index(
                        condition=models.Q(("action", "tidy")), fields=["finished_at"], name="deployment_tidying"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")),
                        fields=("application",),
                        name="one_deployment_runs_at_a_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "queued")),
                        fields=("application",),
                        name="one_deployment_waits_at_a_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ContainerLook",
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
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="looks", to="applications.application"
                    ),
                ),
                ("answer", models.JSONField(blank=True, default=dict, help_text="See applications.containers.")),
                ("log", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["application", "-created_at"], name="container_look_history"),
                    models.Index(
                        condition=models.Q(("state__in", ["queued", "running"])),
                        fields=["state", "created_at"],
                        name="container_look_due",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "id",
                    organisations.models.IdField(
                        default=dokreg.ids.new_id, editable=False, max_length=21, primary_key=True, serialize=False
                    ),
                ),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="webhook_deliveries",
                        to="applications.application",
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "sender",
                    models.CharField(blank=True, help_text="Who sent it, as far as its shape tells.", max_length=40),
                ),
                ("named", models.CharField(blank=True, help_text="The images that it named.", max_length=300)),
                (
                    "outcome",
                    models.CharField(
                        choices=[("queued", "Deployment queued"), ("ignored", "Ignored"), ("refused", "Refused")],
                        max_length=10,
                    ),
                ),
                ("words", models.CharField(blank=True, help_text="Why, for people.", max_length=300)),
                (
                    "deployment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="applications.deployment",
                    ),
                ),
                (
                    "link",
                    models.CharField(blank=True, help_text="Where a person has to confirm something.", max_length=1500),
                ),
            ],
            options={
                "verbose_name_plural": "webhook deliveries",
                "ordering": ["-created_at"],
                "indexes": [
                    models.Index(fields=["application", "-created_at"], name="webhook_delivery_history"),
                    models.Index(fields=["created_at"], name="webhook_delivery_by_age"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookSignature",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="applications.application"
                    ),
                ),
                ("signature", models.CharField(max_length=64)),
                ("seen_at", models.DateTimeField(db_index=True)),
                ("is_timeless", models.BooleanField(default=False, help_text="What was signed has no time in it.")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("application", "signature"), name="webhook_signature_counts_once")
                ],
            },
        ),
        migrations.AddField(
            model_name="application",
            name="last_deployment",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="applications.deployment",
            ),
        ),
        migrations.AddField(
            model_name="application",
            name="serving",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="The deployment whose container is the application's.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="applications.deployment",
            ),
        ),
    ]
