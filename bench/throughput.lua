-- From nothing to caught up: with large batches, and with those of 1,000 that a
-- loop of one's own has. Then: from an append to the model that shows it.

local helper = require "spec.helper"
local measure = require "bench.measure"
local programs = require "bench.programs"
local tables = require "bench.table"

local logs = {
  { "uniform", accounts = 50000, batch = 50000 },
  { "hot", accounts = 1000, batch = 5000 },
}
local LOOP_BATCH = 1000

local columns = {
  { "log", 24 }, { "batch", 6, "," }, { "program", 14 }, { "events/s", 9, "," },
  { "least to most", 18 }, { "Lunette to it", 13, "%.2f" },
  { "least to most", 13 }, { "peak MiB", 8, "%.0f" },
}

local function thousands(spread)
  return ("%.0f,000 to %.0f,000"):format(spread.least / 1000,
    spread.most / 1000)
end

local function rows(row, pair, log, test)
  for i, result in ipairs(measure.compare(programs.over(pair, test))) do
    row {
      ("%s, %d accounts"):format(log[1], log.accounts),
      test.batch,
      result.name, result.rate.median, thousands(result.rate),
      i > 1 and result.ratio.median or "",
      i > 1 and measure.range(result.ratio, "%.2f") or "",
      result.peak,
    }
  end
end

local function latency(store, script)
  local pair = store:log(10000, 1000)
  pair.clear()
  local argv = measure.join(measure.command(pair, script), "--log-level",
    "error")
  measure.must(measure.join(argv, "--once"))
  local child = helper.spawn(argv)
  local out = measure.must { helper.build .. "/bench/latency", pair.appends,
    pair.models, "200", measure.appends, "account_summary" }
  child:kill "TERM"
  child:wait()
  pair.drop()
  print(("\nappend to visible: %s ms at the 50th percentile, %s ms at the "
    .. "99th, %s ms at most; %s appends a second"):format(
    out:match "(%S+) (%S+) (%S+) (%S+)"))
end

return function(store)
  local script = measure.script {}
  local row = tables.begin(("%s to %s, %.0f events"):format(store.name,
    store.name, measure.events), columns)
  for _, log in ipairs(logs) do
    local pair = store:log(measure.events, log.accounts)
    rows(row, pair, log, { script = script, indexes = {},
      batch = log.batch })
    rows(row, pair, log, { script = script, indexes = {}, batch = LOOP_BATCH,
      peers = true })
    pair.drop()
  end
  latency(store, script)
end
