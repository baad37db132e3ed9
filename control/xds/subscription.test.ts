import assert from "node:assert/strict";
import { test } from "node:test";
import { Subscription } from "./subscription.ts";

const request = (responseNonce: string, resourceNames: string[], error?: string, versionInfo = "") => ({
  versionInfo,
  responseNonce,
  resourceNames,
  error,
});

test("the first request tells what the client holds, whatever nonce it carries", () => {
  const sub = new Subscription();
  assert.deepEqual(sub.receive(request("from another stream", ["demo"], undefined, "4-aa")), {
    kind: "first",
    held: "4-aa",
    asked: ["demo"],
  });
  assert.equal(sub.held, "4-aa");
  assert.equal(sub.awaiting, false);
});

test("the nonce and error_detail decide between ACK, NACK and stale, not the version", () => {
  const sub = new Subscription();
  sub.receive(request("", ["demo"]));
  sub.wrote("1-aa", "n1");
  assert.equal(sub.awaiting, true);
  sub.wrote("2-bb", "n2");
  assert.deepEqual(sub.receive(request("n1", ["demo"], undefined, "1-aa")), { kind: "stale" });
  assert.equal(sub.held, "");
  assert.deepEqual(sub.receive(request("n2", ["demo"], "too large", "2-bb")), {
    kind: "nack",
    version: "2-bb",
    reason: "too large",
    asked: [],
  });
  assert.equal(sub.held, "");
  sub.wrote("3-cc", "n3");
  assert.deepEqual(sub.receive(request("n3", ["demo"], undefined, "some other text")), {
    kind: "ack",
    version: "3-cc",
    asked: [],
  });
  assert.equal(sub.held, "3-cc");
});

test("an answer asks only for names that are new; a request after it asks for all it names", () => {
  const sub = new Subscription();
  assert.deepEqual(sub.receive(request("", ["a", "b"])), { kind: "first", held: "", asked: ["a", "b"] });
  sub.wrote("1-aa", "n1");
  assert.deepEqual(sub.receive(request("n1", ["a", "b", "c"])), { kind: "ack", version: "1-aa", asked: ["c"] });
  assert.deepEqual(sub.receive(request("n1", ["a"])), { kind: "ask", asked: ["a"] });
  assert.deepEqual([...sub.names], ["a"]);
});

test("a stale request changes no names: the answer to the newest response carries the newest ones", () => {
  const sub = new Subscription();
  sub.receive(request("", ["a"]));
  sub.wrote("1-aa", "n1");
  sub.wrote("2-bb", "n2");
  sub.receive(request("n1", ["b"]));
  assert.deepEqual([...sub.names], ["a"]);
  assert.deepEqual(sub.receive(request("n2", ["b"])), { kind: "ack", version: "2-bb", asked: ["b"] });
});

test("before any response every request asks, since there is nothing to answer", () => {
  const sub = new Subscription();
  sub.receive(request("", ["a"]));
  assert.deepEqual(sub.receive(request("", ["a", "b"])), { kind: "ask", asked: ["a", "b"] });
});
