// Uses the API through the functions that @hey-api/openapi-ts generates.

import { assert, baseUrl, headers } from "./environment.js";
import { client } from "./sdk/client.gen.js";
import {
  check,
  explain,
  getViewPermissions,
  listAuditLogs,
  listUserLevels,
  replaceViewPermissions,
} from "./sdk/sdk.gen.js";

client.setConfig({ baseUrl, headers });

const levels = await listUserLevels();
const visitor = levels.data?.data.userLevels.find((level) => level.name === "Visitor");
assert(visitor, "the level Visitor must be listed");

const path = { id: visitor.id };
const matrix = await getViewPermissions({ path });
const etag = matrix.response.headers.get("ETag");
assert(matrix.data && etag, "the matrix must have an entity tag");
const views = matrix.data.data.permissions.map(({ viewId, state }) => ({ viewId, state }));
const last = views.at(-1);
assert(last, "the matrix must have cells");
last.state = last.state === "inherit" ? "deny" : "inherit";
const change = () => replaceViewPermissions({ path, headers: { "If-Match": etag }, body: { views } });
assert((await change()).data?.status === "success", "a change with the current entity tag must succeed");
const repeated = await change();
assert(repeated.error?.code === "ERR_RESOURCE_003", "a change with an outdated entity tag must fail");

const allowed = await check({ body: { feature: "general.read", action: "Read" } });
assert(allowed.data?.data.allowed, "the administrator must be allowed to read");

const denied = await explain({ body: { feature: "risks.create", action: "Create" } });
assert(denied.data && !denied.data.data.allowed, "risks.create must be denied");
assert(denied.data.data.suggestion[0]?.step === "grantModule", "the suggestion must grant a module");

const audit = await listAuditLogs({ query: { limit: 10 } });
const record = audit.data?.data.logs.find((log) => log.action === "permissions.views_updated");
assert(record, "the change must be recorded");
