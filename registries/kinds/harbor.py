"""Harbor, which everybody runs on a host of their own."""

# Texts about secrets, none of them one.

from registries.kinds.base import Kind, page_on


class Harbor(Kind):
    """Harbor's robots are the accounts for servers; the rules are from Harbor's documentation."""

    slug = "harbor"
    name = "Harbor"
    summary = "Your own Harbor."

    host_placeholder = "harbor.example.com"
    host_help = "The address of your Harbor."
    self_hosted = True
    customary_names = frozenset({"harbor"})

    username_placeholder = "robot$acme+puller"
    username_help = "The robot's full name with its prefix: robot$name, or robot$project+name for one of a project."

    secret_name = "Robot secret"
    secret_help = "The secret that Harbor showed once, when the robot was made."
    secret_life = "A robot ends after the days that were chosen when it was made, unless it was made to stay."

    scope_help = (
        "The robot needs the permission to pull repositories in this project. An expired or disabled robot "
        "can still log in and is refused only at the pull, so check its date too."
    )
    credentials_help = (
        "The username is the robot's full name with its prefix, such as robot$acme+puller, and the "
        "password the secret that was shown once. If it is lost, give the robot a new secret in Harbor."
    )

    image_prefix_help = "The project in Harbor."
    image_prefix_placeholder = "acme"
    example_image = "harbor.example.com/acme/web:1.4"

    def secret_url(self, host: str) -> str | None:
        return page_on(host, "/harbor/projects")

    def warn_username(self, username: str) -> str | None:
        if username.startswith("robot") and "$" not in username:
            return "The name of a robot has a $ after robot, unless your Harbor was set up with another prefix."
        return None
