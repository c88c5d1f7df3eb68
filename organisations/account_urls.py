"""Addresses of the installation and of a person's account."""

from django.urls import path

from organisations.views import account, home, invitations, organisation, setup, sign_in

urlpatterns = [
    path("", home.home, name="home"),
    path("setup/<str:token>/", setup.set_up, name="setup"),
    path("sign-in/", sign_in.SignIn.as_view(), name="sign_in"),
    path("sign-out/", sign_in.sign_out, name="sign_out"),
    path("account/", account.account, name="account"),
    path("account/password/", account.PasswordChange.as_view(), name="password_change"),
    path("account/sign-out-everywhere/", account.sign_out_everywhere, name="sign_out_everywhere"),
    path("organisations/new/", organisation.new, name="organisation_new"),
    path("invitations/<str:token>/", invitations.invitation, name="invitation"),
]
