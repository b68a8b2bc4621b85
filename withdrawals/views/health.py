"""For a proxy and an orchestrator: is this process alive, and may it be sent requests."""

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe


@require_safe
@login_not_required  # a proxy has no account; nothing is told but yes or no
def live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers at all."""
    return HttpResponse("alive\n", content_type="text/plain")


@require_safe
@login_not_required  # as above
def ready(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and its migrations are done, else 503. Nothing else counts."""
    try:
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    if waiting:
        return HttpResponse("migrations are waiting\n", status=503, content_type="text/plain")
    return HttpResponse("ready\n", content_type="text/plain")
