import { TuttiError } from "../../base/errors.ts";
import type { NamedCase } from "./named_case.ts";
import { check, openProbe } from "./probe.ts";

/** Cases about addresses. */
export const addressCases: readonly NamedCase[] = [
  ["canonical gives one form when an address has several spellings", async (bench, harness) => {
    const { transport } = await bench.open();
    for (const [spelling, form] of harness.addresses.same) {
      const got = transport.canonical(spelling);
      check(got === form, `canonical("${spelling}") is ${got}, not ${form}`);
      check(transport.canonical(got) === got, `canonical("${got}") changes it again`);
    }
  }],
  ["canonical throws InvalidAddress when an address is malformed", async (bench, harness) => {
    const { transport } = await bench.open();
    const common = ["", " ", "\n", "a b", "\u0000", "x".repeat(1 << 20), harness.addresses.unused + "\n"];
    for (const text of [...common, ...harness.addresses.malformed]) {
      const shown = JSON.stringify(text.slice(0, 60));
      let refused: unknown;
      try {
        transport.canonical(text);
      } catch (error) {
        refused = error;
      }
      check(
        refused instanceof TuttiError,
        `canonical accepted ${shown}, or threw something else: ${refused}`,
      );
      check(refused.code === "InvalidAddress", `canonical threw ${refused.code} for ${shown}`);
      check(
        refused.message.startsWith("Cannot "),
        `the error does not begin with "Cannot": ${refused.message}`,
      );
      check(
        refused.message.length < 1000,
        `the error for ${shown} is ${refused.message.length} characters long`,
      );
    }
  }],
  ["open returns the canonical address", async (bench) => {
    const { transport, address } = await bench.open();
    check(transport.canonical(address) === address, `${address} is not canonical`);
  }],
  ["open throws AddressInUse when another member listens there", async (bench, harness) => {
    const first = await bench.open();
    const member = await harness.recreate(first.address);
    let refused: unknown;
    try {
      await openProbe(member);
    } catch (error) {
      refused = error;
    } finally {
      await member.transport.close(100);
    }
    check(refused instanceof TuttiError, `two members opened ${first.address}, or: ${refused}`);
    check(refused.code === "AddressInUse", `open threw ${refused.code}: ${refused.message}`);
    check(
      refused.message.includes(first.address),
      `the error does not name the endpoint: ${refused.message}`,
    );
    const peer = await bench.open();
    await bench.join(first, peer);
  }],
];
