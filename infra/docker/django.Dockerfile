# The demo's Django service, for gunicorn and for uvicorn: `docker build -f infra/docker/django.Dockerfile .`
FROM python:3.12.11-slim-bookworm AS build
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
COPY services/lab/django/requirements.txt /build/
RUN pip install --no-cache-dir -r /build/requirements.txt
COPY collectors/django /build/tidemark-django
RUN pip install --no-cache-dir /build/tidemark-django

FROM python:3.12.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /venv /venv
COPY services/lab/assets /app/services/lab/assets
COPY services/lab/django /app/services/lab/django
WORKDIR /app/services/lab/django
USER 10001:10001
