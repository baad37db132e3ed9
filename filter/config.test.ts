import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Envoy } from "../test/host/envoy.ts";
import { module } from "../test/host/fixtures.ts";

const envoy = new Envoy({ module, workers: 0, configuration: '{"control_cluster":"c"}' });

/** The filter's word on a configuration: "" when accepted. */
function refusal(configuration: string): string {
  const vm = envoy.newVm("canary");
  const { accepted } = vm.configure(configuration);
  assert.equal(vm.trapped, undefined);
  envoy.destroyVm(vm);
  const text = vm.logs.map((line) => line.text).join("\n");
  assert.equal(accepted, text === "", text);
  return text;
}

test("every field is accepted, in any order and layout", () => {
  for (const configuration of [
    '{"control_cluster":"ballast_control"}',
    ' { "fleet" : "demo" , "control_cluster" : "a" , "node" : "edge-1" } \n',
    '{"control_cluster":"c","service_from":"route_name","steer_header":"x-where"}',
    '{"control_cluster":"c","service_from":{"header":"x-service"},"session_from":{"cookie":"sid"}}',
    '{"control_cluster":"c","service_from":{"fixed":"payments"},"session_from":{"header":"x-session"}}',
    '{"control_cluster":"c","values":{"payments":{"a":"0","b":"70"},"quotes":{}}}',
    '{"control_cluster":"c","values":{}}',
    '{"control_cluster":"c","max_services":4096,"max_set_bytes":16777216}',
    '{"control_cluster":"c","max_services":1,"max_set_bytes":65536}',
    '{"control_cluster":"outbound|80||ballast\\/control"}',
  ]) {
    assert.equal(refusal(configuration), "", configuration);
  }
});

test("a mistake is refused with its place and what was expected", () => {
  const cases: [string, RegExp][] = [
    ["", /expected an object/],
    ["[]", /expected an object/],
    ["{}", /control_cluster is missing/],
    ['{"control_cluster":""}', /text is empty/],
    ['{"control_cluster":"c"} x', /not JSON/],
    ['{"control_cluster":"c",}', /expected a string/],
    ['{"control_cluster":"c"', /not JSON/],
    ['{"control_cluster":"c","control_cluster":"d"}', /at byte \d+: field appears twice/],
    ['{"control_cluster":"c","colour":"red"}', /at byte 32: unknown field/],
    ['{"control_cluster":"c","service_from":"header"}', /service_from: expected/],
    ['{"control_cluster":"c","service_from":{"cookie":"a"}}', /service_from: expected/],
    ['{"control_cluster":"c","service_from":{"fixed":"a b"}}', /not a name/],
    ['{"control_cluster":"c","session_from":"cookie"}', /expected an object/],
    ['{"control_cluster":"c","session_from":{"fixed":"a"}}', /session_from: expected/],
    ['{"control_cluster":"c","session_from":{"cookie":"a;b"}}', /not a name/],
    ['{"control_cluster":"c","steer_header":"x y"}', /not a name/],
    ['{"control_cluster":"c","steer_header":7}', /expected a string/],
    ['{"control_cluster":"c","max_services":0}', /number out of range/],
    ['{"control_cluster":"c","max_services":4097}', /number out of range/],
    ['{"control_cluster":"c","max_services":"7"}', /expected a whole number/],
    ['{"control_cluster":"c","max_services":-1}', /expected a whole number/],
    ['{"control_cluster":"c","max_services":99999999999999999999}', /out of range|not JSON/],
    ['{"control_cluster":"c","max_set_bytes":65535}', /number out of range/],
    ['{"control_cluster":"c","values":{"p":{"a":0}}}', /expected a string/],
    ['{"control_cluster":"c","values":{"p":{"a":"x y"}}}', /not a name/],
    ['{"control_cluster":"c","fleet":null}', /expected a string/],
    ['{"control_cluster":"\\u0041"}', /escape not supported/],
    [`{"control_cluster":"${"c".repeat(256)}"}`, /string too long/],
    [`{"control_cluster":"c"${" ".repeat(70_000)}}`, /configuration too large/],
  ];
  for (const [configuration, expected] of cases) {
    const text = refusal(configuration);
    assert.match(text, /^ballast: configuration refused at byte \d+: /, configuration);
    assert.match(text, expected, configuration);
  }
});

test("no bytes as a configuration trap the filter", () => {
  const pieces = [
    '{"',
    '"control_cluster"',
    ":",
    '"c"',
    ",",
    "}",
    "{",
    '"values"',
    '"max_services"',
    "12",
    "\\",
    '"',
    " ",
    "[",
    "é",
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 20 }), (parts) => void refusal(parts.join(""))),
    {
      numRuns: 2_000,
    },
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => void refusal(text)),
    { numRuns: 500 },
  );
});
