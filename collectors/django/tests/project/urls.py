from django.urls import path

from tests.project import views

urlpatterns = [
    path("", views.home),
    path("sleep/<int:milliseconds>/", views.sleep),
    path("async-sleep/<int:milliseconds>/", views.async_sleep),
    path("block/<int:milliseconds>/", views.block),
    path("stuck/<str:reason>/<str:secret>/", views.stuck),
    path("burn/<int:milliseconds>/", views.burn),
    path("burners/<int:count>/", views.burners),
    *(path(f"repeats/{kind}/", views.repeats, {"kind": kind}) for kind in views.REPEATS),
    path("transaction/<int:held>/<int:idle>/", views.in_transaction),
    path("rolled-back/", views.rolled_back),
    path("connect/<int:milliseconds>/", views.connect),
    path("five/", views.five),
    path("books/", views.books),
    path("authors/", views.authors),
    path("fail/", views.fail),
    path("page/", views.page),
    path("jinja/", views.jinja),
    path("fragments/<str:key>/", views.fragments),
    path("cached/<str:key>/", views.cached),
    path("cached-many/<str:keys>/", views.cached_many),
    path("pg-sleep/<int:milliseconds>/", views.pg_sleep),
    path("echo-body/", views.echo_body),
    path("stream/", views.stream),
    path("keep/<int:size>/", views.keep),
    path("pid/", views.pid),
]
