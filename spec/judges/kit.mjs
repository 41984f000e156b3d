// What the writers share: chance from a seed, many workers for so long, and a
// line of JSON for each thing to say.
//
// A writer is started as: node NAME.mjs write URL SEED SECONDS
//                     or: node NAME.mjs read URL
// "write" says how much it wrote; "read" gives every event that the store's
// own interface reads back, stream by stream, in the order of versions.

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// A 32-bit generator (mulberry), the same on every machine.
export function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const within = (low, high) => low + (next() % (high - low + 1));
  return {
    within,
    chance: (percent) => within(1, 100) <= percent,
    pick: (list) => list[within(0, list.length - 1)],
  };
}

// Calls work(r, worker) again and again in each of so many workers, until the
// time is up; a try that the store refused is no failure.
export async function writeFor(seconds, seed, workers, work, isRefusal) {
  const end = Date.now() + seconds * 1000;
  const tally = { written: 0, refused: 0, rolledBack: 0 };
  const run = async (worker) => {
    const r = random(seed * 1000 + worker);
    while (Date.now() < end) {
      try {
        tally[await work(r, worker)]++;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        tally.refused++;
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, i) => run(i + 1)));
  say(tally);
}

// A transaction of a user: its id is drawn first, then it lingers, writes,
// lingers again, and three in ten are rolled back.
export async function userTransaction(client, r, longest, write) {
  await client.query("BEGIN");
  try {
    if (r.chance(70)) await client.query("SELECT txid_current()");
    await sleep(r.within(0, longest));
    await write();
    await sleep(r.within(0, longest));
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
  const kept = r.chance(70);
  await client.query(kept ? "COMMIT" : "ROLLBACK");
  return kept ? "written" : "rolledBack";
}

export function say(object) {
  process.stdout.write(JSON.stringify(object) + "\n");
}

export async function main(commands) {
  const [command, url, seed, seconds] = process.argv.slice(2);
  await commands[command](url, Number(seed), Number(seconds));
  process.exit(0);
}
