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

test("a mistake is refused with its place and what is wrong there", () => {
  const cases: [string, RegExp][] = [
    ["", /unexpected$/],
    ["[]", /unexpected$/],
    ["{}", /no control_cluster/],
    ['{"control_cluster":""}', /bad name/],
    ['{"control_cluster":"c"} x', /unexpected$/],
    ['{"control_cluster":"c",}', /unexpected$/],
    ['{"control_cluster":"c"', /unexpected$/],
    ['{"control_cluster":"c","control_cluster":"d"}', /at byte \d+: field twice/],
    ['{"control_cluster":"c","colour":"red"}', /at byte 32: unknown field/],
    ['{"control_cluster":"c","service_from":"header"}', /bad source/],
    ['{"control_cluster":"c","service_from":{"cookie":"a"}}', /bad source/],
    ['{"control_cluster":"c","service_from":{"fixed":"a b"}}', /bad name/],
    ['{"control_cluster":"c","session_from":"cookie"}', /unexpected$/],
    ['{"control_cluster":"c","session_from":{"fixed":"a"}}', /bad source/],
    ['{"control_cluster":"c","session_from":{"cookie":"a;b"}}', /bad name/],
    ['{"control_cluster":"c","steer_header":"x y"}', /bad name/],
    ['{"control_cluster":"c","steer_header":7}', /unexpected$/],
    ['{"control_cluster":"c","max_services":0}', /out of range/],
    ['{"control_cluster":"c","max_services":4097}', /out of range/],
    ['{"control_cluster":"c","max_services":"7"}', /unexpected$/],
    ['{"control_cluster":"c","max_services":-1}', /unexpected$/],
    ['{"control_cluster":"c","max_services":99999999999999999999}', /out of range|unexpected$/],
    ['{"control_cluster":"c","max_set_bytes":65535}', /out of range/],
    ['{"control_cluster":"c","values":{"p":{"a":0}}}', /unexpected$/],
    ['{"control_cluster":"c","values":{"p":{"a":"x y"}}}', /bad name/],
    ['{"control_cluster":"c","fleet":null}', /unexpected$/],
    ['{"control_cluster":"\\u0041"}', /unexpected$/],
    [`{"control_cluster":"${"c".repeat(256)}"}`, /too large/],
    [`{"control_cluster":"c"${" ".repeat(70_000)}}`, /too large/],
  ];
  for (const [configuration, expected] of cases) {
    const text = refusal(configuration);
    assert.match(text, /^ballast: config refused at byte \d+: /, configuration);
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
