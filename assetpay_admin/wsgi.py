"""The door for a WSGI server."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.urls import get_resolver

from assetpay_admin.loading import left_to_stay

# For how long a thread may compute while another, back from the database, waits to go on. With Python's own 5 ms, at
# each of a dozen statements, a callback takes twice as long beside pages, and it holds SQLite's one lock meanwhile. On
# PostgreSQL, where each statement is a wait, the many switches cost more than they gave.
SWITCH_INTERVAL_SECONDS = 0.000_5

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assetpay_admin.settings")
try:
    with left_to_stay():
        application = get_wsgi_application()
        # The views, which the first request would load.
        _ = get_resolver().url_patterns
    if connection.vendor == "sqlite":
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
except ImproperlyConfigured as error:
    sys.stderr.write(f"{error}\n")
    # By this status gunicorn knows that starting again is of no use; by any other it would, for ever.
    sys.exit(4)
