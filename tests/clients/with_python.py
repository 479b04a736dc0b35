"""Uses the API through the package that openapi-python-client generates."""

import os
from uuid import UUID

from iam_client import AuthenticatedClient
from iam_client.api.audit import list_audit_logs
from iam_client.api.decisions import check, explain
from iam_client.api.permissions import get_view_permissions, replace_view_permissions
from iam_client.api.user_levels import list_user_levels
from iam_client.models import (
    AllowedDecisionData,
    AuditPermissionsViewsUpdated,
    CheckRequest,
    DeniedExplanationData,
    Error,
    SuccessAuditData,
    SuccessDecisionData,
    SuccessExplanationData,
    SuccessReplacedViewPermissionsData,
    SuccessListedLevelsData,
    SuccessViewPermissionsData,
    SuggestedStepGrantModule,
    ViewCellBody,
    ViewMatrix,
    ViewState,
)

company = UUID(os.environ["COMPANY"])
client = AuthenticatedClient(
    base_url=os.environ["BASE_URL"],
    token=os.environ["TOKEN"],
    headers={"X-Company-Id": str(company)},
)

levels = list_user_levels.sync(client=client)
assert isinstance(levels, SuccessListedLevelsData), levels
visitor = next(level for level in levels.data.user_levels if level.name == "Visitor")

matrix = get_view_permissions.sync_detailed(visitor.id, client=client)
assert isinstance(matrix.parsed, SuccessViewPermissionsData), matrix
cells = [ViewCellBody(view_id=cell.view_id, state=cell.state) for cell in matrix.parsed.data.permissions]
cells[-1].state = ViewState.DENY if cells[-1].state == ViewState.INHERIT else ViewState.INHERIT
body = ViewMatrix(views=cells)
etag = matrix.headers["etag"]
changed = replace_view_permissions.sync(visitor.id, client=client, body=body, if_match=etag)
assert isinstance(changed, SuccessReplacedViewPermissionsData), changed
assert len(changed.data.permissions) == len(cells), changed
repeated = replace_view_permissions.sync(visitor.id, client=client, body=body, if_match=etag)
assert isinstance(repeated, Error) and repeated.code.value == "ERR_RESOURCE_003", repeated

allowed = check.sync(client=client, body=CheckRequest(feature="general.read", action="Read"))
assert isinstance(allowed, SuccessDecisionData), allowed
assert isinstance(allowed.data, AllowedDecisionData), allowed

denied = explain.sync(client=client, body=CheckRequest(feature="risks.create", action="Create"))
assert isinstance(denied, SuccessExplanationData), denied
assert isinstance(denied.data, DeniedExplanationData), denied
assert isinstance(denied.data.suggestion[0], SuggestedStepGrantModule), denied

audit = list_audit_logs.sync(client=client, limit=10)
assert isinstance(audit, SuccessAuditData), audit
records = [log for log in audit.data.logs if isinstance(log, AuditPermissionsViewsUpdated)]
assert records and len(records[0].changes.after.additional_properties) == 1, audit
