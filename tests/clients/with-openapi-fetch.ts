// Uses the API through openapi-fetch and the types that openapi-typescript generates.

import createClient from "openapi-fetch";

import { assert, baseUrl, headers } from "./environment.js";
import type { paths } from "./paths.js";

const client = createClient<paths>({ baseUrl, headers });

const levels = await client.GET("/api/iam/user-levels");
const visitor = levels.data?.data.userLevels.find((level) => level.name === "Visitor");
assert(visitor, "the level Visitor must be listed");

const path = { id: visitor.id };
const matrix = await client.GET("/api/iam/user-levels/{id}/permissions/views", { params: { path } });
const etag = matrix.response.headers.get("ETag");
assert(matrix.data && etag, "the matrix must have an entity tag");
const views = matrix.data.data.permissions.map(({ viewId, state }) => ({ viewId, state }));
const last = views.at(-1);
assert(last, "the matrix must have cells");
last.state = last.state === "inherit" ? "deny" : "inherit";
const change = () =>
  client.PUT("/api/iam/user-levels/{id}/permissions/views", {
    params: { path, header: { "If-Match": etag } },
    body: { views },
  });
assert((await change()).data?.status === "success", "a change with the current entity tag must succeed");
const repeated = await change();
assert(repeated.error?.code === "ERR_RESOURCE_003", "a change with an outdated entity tag must fail");

const allowed = await client.POST("/api/iam/check", { body: { feature: "general.read", action: "Read" } });
assert(allowed.data?.data.allowed, "the administrator must be allowed to read");
const reason: "explicit_allow" | "public_view" | "super_admin" = allowed.data.data.reasonCode;
assert(reason === "explicit_allow", "a level must allow it");

const denied = await client.POST("/api/iam/explain", { body: { feature: "risks.create", action: "Create" } });
assert(denied.data && !denied.data.data.allowed, "risks.create must be denied");
const step = denied.data.data.suggestion[0];
assert(step?.step === "grantModule" && step.id, "the suggestion must grant a module");

const audit = await client.GET("/api/iam/audit-logs", { params: { query: { limit: 10 } } });
const record = audit.data?.data.logs.find((log) => log.action === "permissions.views_updated");
assert(record?.action === "permissions.views_updated", "the change must be recorded");
assert(Object.keys(record.changes.after).length === 1, "the record must contain the changed cell");
