/** Builds the documentation site into `site/`: the API of the exports, the README and `docs/`. A warning fails it. */
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Application, TSConfigReader, TypeDocReader } from "typedoc";

const here = dirname(fileURLToPath(import.meta.url));
const site = join(dirname(here), "site");

const application = await Application.bootstrapWithPlugins(
  { options: join(here, "typedoc.json") },
  [new TypeDocReader(), new TSConfigReader()],
);
const project = await application.convert();
if (project !== undefined) {
  application.validate(project);
  rmSync(site, { recursive: true, force: true });
  await application.generateOutputs(project);
}
const { errorCount, warningCount } = application.logger;
if (project === undefined || errorCount > 0 || warningCount > 0) {
  console.error(`Cannot build the site: ${errorCount} errors, ${warningCount} warnings`);
  process.exit(1);
}
