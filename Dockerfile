# The desk: one image for web, worker and clock. Which of them it is, is the command.

FROM python:3.13-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/desk/.venv
WORKDIR /desk
# First what seldom changes: the libraries, each checked against its hash in uv.lock.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-default-groups
COPY . .
# Collecting needs settings that can start, and no secret: these are thrown away with this step.
RUN DEBUG=false ENV_FILE=/dev/null DATABASE_URL=sqlite:////tmp/none.sqlite3 ALLOWED_HOSTS=localhost \
    SECRET_KEY=used-for-collecting-files-and-nothing-else MFA_SEED_KEY=used-for-collecting-files-and-nothing-else \
    ASSETPAY_BASE_URL=https://api.assetpay.gg ASSETPAY_MERCHANT_ID=none ASSETPAY_API_SECRETS=none-but-16-bytes-long \
    .venv/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && .venv/bin/python -m compileall -q assetpay_admin withdrawals manage.py

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="AssetPay Admin" \
      org.opencontainers.image.description="The support desk for AssetPay withdrawals"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin desk
WORKDIR /desk
# Owned by root: the desk can read itself and change nothing of it.
COPY --from=build /desk /desk
ENV PATH=/desk/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=assetpay_admin.settings \
    ENV_FILE=/dev/null \
    PORT=8000
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "scripts/healthcheck.py"]
# Its only scratch is in memory, so the root file system may be read-only.
CMD ["gunicorn", "assetpay_admin.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "4", "--worker-tmp-dir", "/dev/shm", "--graceful-timeout", "12", "--no-control-socket", "--forwarder-headers", ""]
