import type { ConformanceCase, TransportHarness } from "./types.ts";
import type { NamedCase } from "./named_case.ts";
import { Bench } from "./probe.ts";
import { addressCases } from "./address_cases.ts";
import { deliveryCases } from "./delivery_cases.ts";
import { lifeCases } from "./life_cases.ts";

/**
 * The cases that an adapter must pass.
 *
 * Every wait is for a condition with a deadline; every case opens its own members and closes them, also when it fails.
 * For adapters whose traits say `lossy`, the cases about order and completeness of bursts only ask that nothing
 * arrives altered or twice.
 *
 * @param harness Makes adapters.
 * @returns Independent cases, to be run one after the other by any test runner.
 */
export function transportConformance(harness: TransportHarness): ConformanceCase[] {
  const cases: NamedCase[] = [...addressCases, ...deliveryCases, ...lifeCases];
  return cases.map(([name, body]) => ({
    name: `${harness.name}: ${name}`,
    run: async (): Promise<void> => {
      const bench = new Bench(harness);
      try {
        await body(bench, harness);
      } finally {
        await bench.close();
      }
    },
  }));
}
