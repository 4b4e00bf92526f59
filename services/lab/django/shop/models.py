"""The bookshop and the events. The tables belong to ``sql/*.sql``; Django only maps them."""

from django.db import models


class Author(models.Model):
    """Someone who wrote books."""

    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    country = models.TextField()

    class Meta:
        managed = False
        db_table = "authors"

    def __str__(self) -> str:
        return str(self.name)


class Book(models.Model):
    """A title on sale; the price is in cents."""

    id = models.IntegerField(primary_key=True)
    title = models.TextField()
    author = models.ForeignKey(Author, on_delete=models.DO_NOTHING)
    price_cents = models.IntegerField()
    published_year = models.IntegerField()

    class Meta:
        managed = False
        db_table = "books"

    def __str__(self) -> str:
        return str(self.title)


class Order(models.Model):
    """One purchase of one title."""

    id = models.IntegerField(primary_key=True)
    book = models.ForeignKey(Book, on_delete=models.DO_NOTHING)
    quantity = models.IntegerField()
    placed_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "orders"

    def __str__(self) -> str:
        return f"order {self.id}"


class Event(models.Model):
    """What a visitor did; lives in the second database."""

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    happened_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "events"

    def __str__(self) -> str:
        return str(self.kind)
