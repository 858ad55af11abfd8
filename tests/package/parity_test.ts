/** `deno.json` and `package.json` describe one package: same name, version, exports and versions of dependencies. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("package/parity");
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function json(file: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(root, file), "utf8"));
}

const deno = json("deno.json");
const npm = json("package.json");
const denoExports = deno.exports as Record<string, string>;
const npmExports = npm.exports as Record<string, { readonly types: string; readonly default: string }>;
const npmVersions: Record<string, string> = {
  ...npm.devDependencies as Record<string, string>,
  ...npm.dependencies as Record<string, string>,
};

/** Versions by package, out of `npm:NAME@VERSION/PATH`. */
function denoVersions(): Map<string, Set<string>> {
  const versions = new Map<string, Set<string>>();
  for (const [key, target] of Object.entries(deno.imports as Record<string, string>)) {
    const match = /^npm:((?:@[^/]+\/)?[^@/]+)@([^/]+)/.exec(target);
    if (match === null) {
      assert.match(target, /^\.\//, `${key} is neither a file nor an npm package`);
      continue;
    }
    const [, name, version] = match;
    assert.ok(key === name || key.startsWith(`${name}/`), `${key} stands for the package ${name}`);
    versions.set(name, (versions.get(name) ?? new Set()).add(version));
  }
  return versions;
}

test("name, version and licence agree", () => {
  for (const field of ["name", "version", "license"]) assert.is(npm[field], deno[field], field);
});

test("exports agree", () => {
  assert.equal(Object.keys(npmExports).sort(), Object.keys(denoExports).sort());
  for (const [key, source] of Object.entries(denoExports)) {
    const built = source.replace(/^\.\//, "./dist/");
    assert.is(npmExports[key].default, built.replace(/\.ts$/, ".js"), key);
    assert.is(npmExports[key].types, built.replace(/\.ts$/, ".d.ts"), key);
  }
});

test("every exported file exists, and the import map of the repository leads to the same one", () => {
  const imports = deno.imports as Record<string, string>;
  for (const [key, source] of Object.entries(denoExports)) {
    assert.ok(existsSync(join(root, source)), `${source} does not exist`);
    assert.is(imports[`${deno.name}${key.slice(1)}`], source, key);
  }
});

test("each dependency has one exact version, the same in both files", () => {
  const versions = denoVersions();
  for (const [name, found] of versions) {
    assert.is(found.size, 1, `deno.json has ${[...found].join(" and ")} of ${name}`);
    const [version] = found;
    assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is not pinned`);
    assert.is(npmVersions[name], version, name);
  }
  for (const [name, version] of Object.entries(npmVersions)) {
    assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is not pinned`);
    // Types of Node are for the npm build only.
    if (name !== "@types/node") assert.ok(versions.has(name), `deno.json lacks ${name}`);
  }
});

test("the lock file holds one version of each dependency", () => {
  const specifiers = json("deno.lock").specifiers as Record<string, string>;
  for (const [name, version] of Object.entries(npmVersions)) {
    const locked = Object.entries(specifiers).filter(([key]) => key.startsWith(`npm:${name}@`));
    assert.equal(locked.map(([key]) => key), [`npm:${name}@${version}`]);
    assert.is(locked[0][1].split("_")[0], version, name);
  }
});

test.run();
