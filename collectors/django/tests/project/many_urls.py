"""More routes than the agent tells apart, for the soak: 400 routes of any number of URLs."""

from django.urls import path

from tests.project import views

ROUTES = 400

urlpatterns = [
    path("", views.home),
    *(path(f"many/{number}/<int:item>/", views.item) for number in range(ROUTES)),
]
