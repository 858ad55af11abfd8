/** The architecture holds: imports point one way, the core is pure, files stay small; and broken sources are noticed. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FILE_LINES_MAX, violations } from "./architecture/rules.ts";

const test = suite("architecture");
const root = dirname(dirname(fileURLToPath(import.meta.url)));

function sources(): Map<string, string> {
  const paths = ["mod.ts"];
  for (const folder of ["core", "transports", "storage", "examples", "scripts", "tests"]) {
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (file.endsWith(".ts")) paths.push(`${folder}/${file}`);
    }
  }
  return new Map(paths.sort().map((path) => [path, readFileSync(join(root, path), "utf8")]));
}

test("the repository keeps every rule", () => {
  const all = sources();
  assert.ok(all.size > 50, `only ${all.size} files were found`);
  const found = violations(all);
  if (found.length > 0) throw new Error(`${found.length} violations:\n${found.join("\n")}`);
});

/** What is found wrong in one file, beside an innocent one in every room. */
function faults(path: string, text: string): string[] {
  const files = new Map<string, string>();
  for (
    const room of ["base", "wire", "clock", "multicast", "order", "membership", "group", "runtime", "testing"]
  ) {
    files.set(`core/${room}/x.ts`, "export const x = 1;\n");
  }
  files.set("core/runtime/transport.ts", "export const x = 1;\n");
  files.set("core/runtime/store.ts", "export const x = 1;\n");
  files.set("transports/memory/x.ts", "export const x = 1;\n");
  files.set("transports/zeromq/x.ts", "export const x = 1;\n");
  files.set(path, text);
  return violations(files);
}

const broken: readonly (readonly [name: string, path: string, text: string, expected: RegExp])[] = [
  [
    "base imports wire",
    "core/base/a.ts",
    `import { x } from "../wire/x.ts";`,
    /a\.ts: imports "\.\.\/wire\/x\.ts"/,
  ],
  [
    "a stage imports a stage",
    "core/order/a.ts",
    `import { x } from "../multicast/x.ts";`,
    /core\/order may import/,
  ],
  ["a stage re-exports a stage", "core/membership/a.ts", `export * from "../order/x.ts";`, /may import only/],
  [
    "a stage names a stage's type",
    "core/order/a.ts",
    `type A = import("../group/x.ts").A;`,
    /may import only/,
  ],
  [
    "group imports runtime",
    "core/group/a.ts",
    `import type { x } from "../runtime/x.ts";`,
    /core\/group may import/,
  ],
  ["runtime imports testing", "core/runtime/a.ts", `import { x } from "../testing/x.ts";`, /may import only/],
  [
    "core imports a transport",
    "core/runtime/a.ts",
    `import { x } from "../../transports/memory/x.ts";`,
    /only/,
  ],
  ["core imports the door", "core/group/a.ts", `import { x } from "../../mod.ts";`, /may import only/],
  ["a new room is not announced", "core/extra/a.ts", `import { x } from "../base/x.ts";`, /no room/],
  [
    "a transport imports the group",
    "transports/memory/a.ts",
    `import "../../core/group/x.ts";`,
    /a transport may/,
  ],
  [
    "a storage imports a transport",
    "storage/sqlite/a.ts",
    `import "../../transports/memory/x.ts";`,
    /a storage may/,
  ],
  ["core imports a storage", "core/runtime/a.ts", `import { x } from "../../storage/sqlite/x.ts";`, /only/],
  ["a transport imports another", "transports/memory/a.ts", `import "../zeromq/x.ts";`, /a transport may/],
  [
    "core imports node:",
    "core/runtime/a.ts",
    `import { x } from "node:fs";`,
    /only transports\/zeromq\/.* may/,
  ],
  ["a stage imports a package", "core/order/a.ts", `import { x } from "cbor-x";`, /only core\/wire\/ may/],
  ["an unknown package", "core/wire/a.ts", `import { x } from "lodash";`, /does not depend on that/],
  ["the own name", "core/runtime/a.ts", `import { join } from "@tutti/tutti";`, /does not depend on that/],
  ["a file that is not there", "core/base/a.ts", `import { x } from "./none.ts";`, /no such file/],
  ["the wall clock", "core/group/a.ts", `export const a = Date.now();`, /touches Date\.now in line 1/],
  ["a date of now", "core/group/a.ts", `export const a = new Date();`, /touches new Date/],
  ["chance", "core/multicast/a.ts", `export const a = Math.random();`, /touches Math\.random/],
  ["a timer", "core/multicast/a.ts", `setTimeout(() => {}, 1);`, /touches setTimeout/],
  ["a timer by globalThis", "core/runtime/a.ts", `globalThis.setTimeout(() => {}, 1);`, /touches setTimeout/],
  ["the runtime", "core/base/a.ts", `export const a = Deno.pid;`, /touches Deno/],
  ["the process", "core/testing/a.ts", `process.exit(1);`, /touches process/],
  ["a timer passed on", "core/testing/a.ts", `export const a = { setTimeout };`, /touches setTimeout/],
  [
    "a promise in a machine",
    "core/group/a.ts",
    `export async function a(): Promise<void> {}`,
    /uses Promise/,
  ],
  ["a microtask in a stage", "core/order/a.ts", `queueMicrotask(() => {});`, /uses queueMicrotask/],
  ["any", "core/base/a.ts", `export const a: any = 1;`, /the type any in line 1/],
  ["an enum", "core/base/a.ts", `export enum A { b }`, /the enum A/],
  [
    "a parameter property",
    "core/base/a.ts",
    `export class A { constructor(readonly a: number) {} }`,
    /parameter property/,
  ],
  [
    "a long file",
    "core/base/a.ts",
    "\n".repeat(FILE_LINES_MAX) + "export {};",
    /501 lines; the limit is 500/,
  ],
];

for (const [name, path, text, expected] of broken) {
  test(`a violation is found: ${name}`, () => {
    const found = faults(path, text);
    assert.ok(
      found.some((line) => expected.test(line) && line.startsWith(`${path}: `)),
      found.join("\n") || "nothing",
    );
  });
}

test("a cycle is found when three files import each other", () => {
  const found = violations(
    new Map([
      ["core/base/a.ts", `import "./b.ts";`],
      ["core/base/b.ts", `import "./c.ts";`],
      ["core/base/c.ts", `import "./a.ts";`],
    ]),
  );
  assert.equal(found, [
    "core/base/a.ts: imports itself through core/base/a.ts -> core/base/b.ts -> core/base/c.ts -> core/base/a.ts",
  ]);
});

test("nothing is found when names of members only look like the world", () => {
  const text = `
    // setTimeout, Deno and process in a comment
    interface Clock { now(): number; setTimeout(): void }
    export const text = "Date.now() any enum";
    export function use(clock: Clock, node: { process: number }): number {
      clock.setTimeout();
      return clock.now() + node.process + new Date(5).getTime();
    }
  `;
  assert.equal(faults("core/group/a.ts", text), []);
});

test.run();
