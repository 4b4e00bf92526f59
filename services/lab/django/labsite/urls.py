"""The same paths as the Node service."""

from django.urls import path

from shop import views

urlpatterns = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("api/json", views.plain_json),
    path("api/slow", views.slow),
    path("api/books", views.books),
    path("api/books/fixed", views.books_fixed),
    path("api/report", views.report),
    path("api/hash", views.password_hash),
    path("api/events", views.events),
    path("api/async", views.asynchronous),
    path("page", views.page),
    path("page/cached", views.page_cached),
    path("file", views.file),
]

handler404 = "shop.errors.not_found"
handler500 = "shop.errors.server_error"
handler400 = "shop.errors.bad_request"
