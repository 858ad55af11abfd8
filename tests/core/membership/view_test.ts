/** Quorums of a view. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Address, Incarnation, MemberName } from "../../../core/base/ids.ts";
import {
  isChangeQuorum,
  isMajority,
  isSameMember,
  type Member,
  rankIn,
} from "../../../core/membership/view.ts";

const test = suite("membership/view");

/** All sets of ranks of a view. */
function subsets(size: number): number[][] {
  return Array.from(
    { length: 2 ** size },
    (_, bits) => Array.from({ length: size }, (_, rank) => rank).filter((rank) => (bits >> rank & 1) === 1),
  );
}

test("two quorums that may decide on the next view always share a member", () => {
  for (let size = 1; size <= 7; size++) {
    const quorums = subsets(size).filter((ranks) => isChangeQuorum(size, ranks));
    for (const one of quorums) {
      for (const other of quorums) {
        assert.ok(one.some((rank) => other.includes(rank)), `${one} and ${other} of ${size}`);
      }
    }
  }
});

test("more than half decide, and exactly half with the most senior member", () => {
  assert.ok(isChangeQuorum(1, [0]));
  assert.ok(isChangeQuorum(2, [0]) && !isChangeQuorum(2, [1]) && isChangeQuorum(2, [0, 1]));
  assert.ok(isChangeQuorum(3, [1, 2]) && !isChangeQuorum(3, [0]));
  assert.ok(isChangeQuorum(4, [0, 3]) && !isChangeQuorum(4, [1, 2]) && isChangeQuorum(4, [1, 2, 3]));
  assert.not(isChangeQuorum(1, []));
});

test("a strict majority counts for delivery, seniority or not", () => {
  assert.equal([1, 2, 3, 4].map((count) => isMajority(4, count)), [false, false, true, true]);
  assert.equal([0, 1].map((count) => isMajority(1, count)), [false, true]);
});

test("a member is one life at one address", () => {
  const member = (address: string, incarnation: number): Member => ({
    address: address as Address,
    name: "a" as MemberName,
    incarnation: incarnation as Incarnation,
    windowMessages: 1,
    windowBytes: 1,
  });
  assert.ok(isSameMember(member("x", 1), { ...member("x", 1), name: "b" as MemberName }));
  assert.not(isSameMember(member("x", 1), member("x", 2)) || isSameMember(member("x", 1), member("y", 1)));
  const list = [member("x", 1), member("y", 2)];
  assert.equal([rankIn(list, "y", 2), rankIn(list, "y", 1), rankIn(list, "z", 1)], [1, -1, -1]);
});

test.run();
