// The server and the credentials that the test script passes to each client.

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export const baseUrl = variable("BASE_URL");
export const headers = {
  Authorization: `Bearer ${variable("TOKEN")}`,
  "X-Company-Id": variable("COMPANY"),
};

/** Fails if the condition does not hold. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
