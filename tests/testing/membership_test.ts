/**
 * What a changing membership adds to the other checkers: what is asked of who joins, leaves, is evicted and comes back. A broken
 * history is found by what it breaks and nothing else.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkTrace, TRACE_PROPERTIES, type TraceProperty } from "../../core/testing/checkers/mod.ts";
import { broken, history, PAIR, TRIO } from "./histories.ts";

const test = suite("testing/membership");

/** All three deliver a message of a. */
const ALL = (m: string): string => `a send ${m}\n a deliver ${m} a\n b deliver ${m} a\n c deliver ${m} a\n`;

const GOOD: readonly (readonly [what: string, text: string])[] = [
  [
    "an evicted member's last messages are lost",
    TRIO + ALL("m1") +
    "c send m2\n c deliver m2 c\n c evicted 2\n a view 3 a,b c:slow\n b view 3 a,b c:slow\n end a,b",
  ],
  [
    "an evicted member comes back and goes on as a new life",
    TRIO + "c send m1\n c evicted 2\n a view 3 a,b c:slow\n b view 3 a,b\n c send m2\n c join\n" +
    "a view 4 a,b,c\n b view 4 a,b,c\n c view 4 a,b,c\n c send m3\n c deliver m3 c\n a deliver m3 c\n b deliver m3 c\n end a,b,c",
  ],
  [
    "an evicted member comes back and delivers again what it had",
    TRIO +
    "a send m1\n c deliver m1 a\n c evicted 2\n c join\n a deliver m1 a\n b deliver m1 a\n c deliver m1 a\n" +
    "a view 3 a,b\n b view 3 a,b\n a view 4 a,b,c\n b view 4 a,b,c\n c view 4 a,b,c\n end a,b,c",
  ],
  [
    "a member in an older view is asked for nothing that came before it joined",
    TRIO + "c crash\n a view 3 a,b\n b view 3 a,b\n" +
    "a send m1\n a deliver m1 a\n b deliver m1 a\n c join\n" +
    "a view 4 a,b,c\n b view 4 a,b,c\n c view 4 a,b,c\n end a,b,c",
  ],
  [
    "a message handed over in one view is delivered in the next",
    PAIR + "a send m1\n a view 3 a,b\n b view 3 a,b\n a deliver m1 a\n b deliver m1 a\n end a,b",
  ],
  [
    "a joiner delivers what was handed over before it came",
    "a view 1 a\n b join\n a send m1\n a view 2 a,b\n b view 2 a,b\n a deliver m1 a\n b deliver m1 a\n end a,b",
  ],
  ["who has left rejects sends", PAIR + "b leave\n b send m1\n b fail m1\n a view 3 a b:left\n end a"],
  [
    "who has left comes back by a join",
    PAIR + "b leave\n a view 3 a\n b join\n a view 4 a,b\n b view 4 a,b\n end a,b",
  ],
  [
    "a killed process rejects a send before it is a member again",
    PAIR + "b crash\n b fail m1\n a send m2\n a deliver m2 a\n a acked m2\n a view 3 a b:crashed\n end a",
  ],
  [
    "a joiner lacks a cause that its snapshot covers",
    `a view 1 a\n a send m1\n a deliver m1 a\n a send m2\n b join\n a deliver m2 a\n b deliver m2 a\n a view 2 a,b
     b view 2 a,b\n a send m3\n a deliver m3 a\n b deliver m3 a\n end a,b`,
  ],
  [
    "two groups have views of the same number",
    "a@g view 1 a\n a@h view 1 a,b\n b@h view 1 a,b\n a@g leader 1\n b@h leader 1\n end a,b",
  ],

  [
    "a receipt comes when the rest will be delivered before the view",
    TRIO +
    "a send m1\n a deliver m1 a\n b deliver m1 a\n a view 3 a,b,c\n a acked m1\n b view 3 a,b,c\n c deliver m1 a\n c view 3 a,b,c\n end a,b,c",
  ],
  [
    "a receipt comes when the rest of the members has left, been evicted or crashed",
    TRIO +
    "a send m1\n a deliver m1 a\n b leave\n c evicted 2\n a acked m1\n a view 3 a b:left,c:slow\n end a",
  ],
  [
    "a receipt comes for what was sent before a member came back",
    TRIO + "a send m1\n a deliver m1 a\n b deliver m1 a\n c crash\n c join\n a acked m1\n" +
    "a view 3 a,b,c c:restarted\n b view 3 a,b,c\n c view 3 a,b,c\n end a,b,c",
  ],
  [
    "an evicted sender learns that all will have its message",
    TRIO +
    "c send m1\n a deliver m1 c\n a view 3 a,b c:slow\n c evicted 2\n c acked m1\n b deliver m1 c\n b view 3 a,b\n end a,b",
  ],
  [
    "a sender learns it after it has joined again",
    TRIO +
    "c send m1\n a deliver m1 c\n a view 3 a,b c:slow\n c evicted 2\n c join\n c acked m1\n b deliver m1 c\n b view 3 a,b\n" +
    "a view 4 a,b,c\n b view 4 a,b,c\n c view 4 a,b,c\n end a,b,c",
  ],
  [
    "who is evicted at the end had something to send",
    PAIR + "b evicted 2\n b send m1\n a view 3 a b:slow\n end a,b",
  ],
  [
    "a receipt comes when an evicted member is back in the view and has not even written that it was evicted",
    TRIO +
    "a view 3 a,b,c\n b view 3 a,b,c\n a view 4 a,b c:slow\n b view 4 a,b c:slow\n a send m1\n a deliver m1 a\n b deliver m1 a\n" +
    "a view 5 a,b,c\n b view 5 a,b,c\n a acked m1\n c view 3 a,b,c\n c evicted 3\n c join\n c view 5 a,b,c\n end a,b,c",
  ],
  [
    "a receipt comes before a newcomer has written a line",
    "a view 1 a\n a send m1\n a deliver m1 a\n a view 2 a,b\n a acked m1\n b join\n b view 2 a,b\n end a,b",
  ],
  [
    "a receipt comes before a newcomer has written a line, and it is killed",
    "a view 1 a\n a send m1\n a deliver m1 a\n a view 2 a,b\n a acked m1\n b crash\n a view 3 a b:crashed\n end a",
  ],
  [
    "a receipt comes before a joiner has installed its first view",
    "a view 1 a\n b join\n a send m1\n a deliver m1 a\n a view 2 a,b\n a acked m1\n b deliver m1 a\n b view 2 a,b\n end a,b",
  ],
];

const BROKEN: readonly (readonly [what: string, breaks: readonly TraceProperty[], text: string])[] = [
  [
    "a joiner misses what was sent in its first view",
    ["validity", "agreement"],
    PAIR + "a send m1\n a deliver m1 a\n end a,b",
  ],
  [
    "a founder misses what a joiner sent",
    ["validity", "agreement"],
    PAIR + "b send m1\n b deliver m1 b\n end a,b",
  ],
  ["nobody delivers what was sent in a view", ["validity"], PAIR + "a send m1\n end a,b"],
  [
    "nobody delivers what a member sent after it came back",
    ["validity"],
    PAIR + "b evicted 2\n a view 3 a\n b join\n a view 4 a,b\n b view 4 a,b\n b send m1\n end a,b",
  ],
  [
    "a joiner misses what was handed over before and delivered in its view",
    ["agreement"],
    "a view 1 a\n b join\n a send m1\n a view 2 a,b\n b view 2 a,b\n a deliver m1 a\n end a,b",
  ],
  [
    "a joiner misses what is delivered in its view, and wrongly in the one before as well",
    ["agreement", "view-synchrony"],
    PAIR +
    "c join\n a send m1\n a deliver m1 a\n a view 3 a,b,c\n b view 3 a,b,c\n c view 3 a,b,c\n b deliver m1 a\n end a,b,c",
  ],
  [
    "a member misses what another delivers that came back later",
    ["agreement"],
    TRIO +
    "b crash\n a view 3 a,c\n c view 3 a,c\n b join\n a view 4 a,c,b\n c view 4 a,c,b\n b view 4 a,c,b\n" +
    "c send m1\n b deliver m1 c\n c deliver m1 c\n c crash\n end a,b",
  ],

  [
    "a message is delivered again after the view",
    ["integrity"],
    PAIR +
    "a send m1\n a deliver m1 a\n b deliver m1 a\n a view 3 a,b\n b view 3 a,b\n b deliver m1 a\n end a,b",
  ],
  [
    "a tail delivers twice",
    ["integrity"],
    "a view 1 a\n a send m1\n a deliver m1 a\n b join\n b deliver m1 a\n b deliver m1 a\n a view 2 a,b\n b view 2 a,b\n end a,b",
  ],
  [
    "an evicted member delivers",
    ["integrity"],
    PAIR + "a send m1\n a deliver m1 a\n b evicted 2\n b deliver m1 a\n a view 3 a b:slow\n end a",
  ],
  [
    "a killed process rejects a send and delivers",
    ["integrity"],
    PAIR + "a send m1\n a deliver m1 a\n b crash\n b fail m2\n b deliver m1 a\n a view 3 a b:crashed\n end a",
  ],
  [
    "a member that has left delivers",
    ["integrity"],
    PAIR + "a send m1\n a deliver m1 a\n b leave\n b deliver m1 a\n a view 3 a b:left\n end a",
  ],
  ["a member that has left sends", ["integrity"], PAIR + "b leave\n b send m1\n a view 3 a b:left\n end a"],
  [
    "a restart with memory delivers again and does not say so",
    ["integrity"],
    PAIR + "a send m1\n a deliver m1 a\n b deliver m1 a\n b crash\n b view 2 a,b\n b deliver m1 a\n end a,b",
  ],

  [
    "a joiner starts in the middle of what its first view holds",
    ["validity", "agreement", "fifo", "causal"],
    PAIR + "a send m1\n a send m2\n a deliver m1 a\n a deliver m2 a\n b deliver m2 a\n end a,b",
  ],
  [
    "a joiner leaves out a message of its tail",
    ["fifo"],
    `a view 1 a\n a send m1\n a send m2\n a send m3\n a deliver m1 a\n a deliver m2 a\n a deliver m3 a\n b join\n b deliver m1 a
     b deliver m3 a\n a view 2 a,b\n b view 2 a,b\n end a,b`,
  ],
  [
    "a joiner leaves out the end of its tail",
    ["fifo"],
    `a view 1 a\n a send m1\n a send m2\n a deliver m1 a\n a deliver m2 a\n b join\n b deliver m1 a\n a view 2 a,b\n b view 2 a,b
     a send m3\n a deliver m3 a\n b deliver m3 a\n end a,b`,
  ],
  [
    "a lost message of an evicted member is followed by a later one of that life",
    ["fifo", "causal"],
    TRIO +
    "c send m1\n c send m2\n c evicted 2\n a deliver m2 c\n b deliver m2 c\n a view 3 a,b\n b view 3 a,b\n end a,b",
  ],
  [
    "a joiner misses a question of its first view",
    ["causal"],
    TRIO + "a send m1\n b deliver m1 a\n b send m2\n c deliver m2 b\n a crash\n b crash\n end c",
  ],
  [
    "a tail comes out of causal order",
    ["causal"],
    `a view 1 a\n c join\n a view 2 a,c\n c view 2 a,c\n a send m1\n a deliver m1 a\n c deliver m1 a\n c send m2\n c deliver m2 c
     a deliver m2 c\n b join\n b deliver m2 c\n b deliver m1 a\n a view 3 a,c,b\n b view 3 a,c,b\n c view 3 a,c,b\n end a,b,c`,
  ],

  [
    "a receipt comes before a member of the view delivers",
    ["stability"],
    TRIO + "a send m1\n a deliver m1 a\n b deliver m1 a\n a acked m1\n c deliver m1 a\n end a,b,c",
  ],
  [
    "a receipt comes before a joiner of the view delivers",
    ["stability"],
    PAIR + "a send m1\n a deliver m1 a\n a acked m1\n b deliver m1 a\n end a,b",
  ],
  [
    "a receipt comes for what a member never delivers before it installs the view",
    ["agreement", "stability", "view-synchrony"],
    TRIO +
    "a send m1\n a deliver m1 a\n b deliver m1 a\n a view 3 a,b,c\n a acked m1\n b view 3 a,b,c\n c view 3 a,b,c\n end b,c",
  ],
  [
    "a receipt comes for what a member never delivers that is two views behind",
    ["validity", "agreement", "stability", "view-synchrony"],
    PAIR +
    "a view 3 a,b\n a send m1\n a deliver m1 a\n a view 4 a,b\n a acked m1\n b view 3 a,b\n b view 4 a,b\n end a,b",
  ],
  [
    "a receipt comes before a member delivers that is a view ahead",
    ["stability", "view-synchrony"],
    PAIR + "a send m1\n a deliver m1 a\n b view 3 a,b\n a acked m1\n b deliver m1 a\n a view 3 a,b\n end a,b",
  ],
];

for (const [what, text] of GOOD) {
  test(`all checkers pass when ${what}`, () => {
    assert.equal(checkTrace(history(text), { properties: TRACE_PROPERTIES }), []);
  });
}

for (const [what, breaks, text] of BROKEN) {
  test(`${breaks.join(" and ")} is broken when ${what}`, () => {
    assert.equal(broken(history(text)), [...breaks]);
  });
}

test.run();
