-- From nothing to caught up: with large batches, and with those of 1,000 that a
-- loop of one's own has. Then: from an append to the model that shows it.

local comparison = require "bench.comparison"
local helper = require "spec.helper"
local measure = require "bench.measure"
local tables = require "bench.table"

local logs = {
  { "uniform", accounts = 50000, batch = 50000 },
  { "hot", accounts = 1000, batch = 5000 },
}
local LOOP_BATCH = 1000

local visible = {
  { "half", "append to visible, ms: 50th percentile", "%.1f" },
  { "most", "append to visible, ms: 99th percentile", "%.1f" },
  { "all", "append to visible, ms: at most", "%.1f" },
  { "appends", "appends a second", "%.0f" },
}

local function latency_once(pair, argv)
  pair.clear()
  measure.must(measure.join(argv, "--once"))
  local child = helper.spawn(argv)
  local out = measure.must { helper.build .. "/bench/latency", pair.appends,
    pair.models, "200", measure.appends, "account_summary" }
  child:kill "TERM"
  child:wait()
  local turn = {}
  turn.half, turn.most, turn.all, turn.appends =
    out:match "(%S+) (%S+) (%S+) (%S+)"
  return turn
end

local function latency(store, script)
  local pair = store:log(10000, 1000)
  local argv = measure.join(measure.command(pair, script), "--log-level",
    "error")
  local turns = {}
  for turn = 1, measure.turns do
    turns[turn] = latency_once(pair, argv)
  end
  pair.drop()
  tables.figures(("%s: %s events appended at 200 a second"):format(store.name,
    measure.appends), visible, turns)
end

return function(store)
  local script = measure.script {}
  local compare = comparison.begin(("%s to %s, %.0f events"):format(store.name,
    store.name, measure.events), { { "log", 24 }, { "batch", 6, "," } })
  for _, log in ipairs(logs) do
    local pair = store:log(measure.events, log.accounts)
    local name = ("%s, %d accounts"):format(log[1], log.accounts)
    compare({ name, log.batch }, pair, { script = script, indexes = {},
      batch = log.batch })
    compare({ name, LOOP_BATCH }, pair, { script = script, indexes = {},
      batch = LOOP_BATCH, peers = true })
    pair.drop()
  end
  latency(store, script)
end
