-- Long logs, and one of many models: the rate and the memory at each length,
-- compared with those at the first. A log is made longer from one to the next.

local measure = require "bench.measure"
local programs = require "bench.programs"
local tables = require "bench.table"

local ACCOUNTS = 50000
local lengths = { SQLite = { 1, 10, 30 }, PostgreSQL = { 1, 10 } }
-- Ten times the events, of which so many in ten open an account.
local MANY = { length = 10, openings = 2 }

local columns = {
  { "events", 10, "," }, { "accounts", 9, "," }, { "program", 14 },
  { "events/s", 9, "," }, { "least to most", 18 },
  { "of the first", 12, "%.2f" }, { "Lunette to it", 13, "%.2f" },
  { "peak MiB", 8, "%.0f" },
}

local function rows(row, pair, script, first)
  local results = measure.compare(programs.over(pair,
    { script = script, indexes = {}, batch = 50000 }))
  first = first or results
  for i, result in ipairs(results) do
    row {
      pair.count, pair.accounts, result.name, result.rate.median,
      ("%.0f,000 to %.0f,000"):format(result.rate.least / 1000,
        result.rate.most / 1000),
      result.rate.median / first[i].rate.median,
      i > 1 and result.ratio.median or "",
      result.peak,
    }
  end
  return first
end

return function(store)
  local script = measure.script {}
  local steps = lengths[store.name]
  local longest = steps[#steps] * measure.events
  local title = ("%s to %s, long logs"):format(store.name, store.name)
  if not measure.has_room(store.folder, longest * store.event_bytes, title)
  then
    return
  end
  local row = tables.begin(title, columns)
  local pair = store:log(measure.events, ACCOUNTS)
  local first = rows(row, pair, script)
  for i = 2, #steps do
    store:lengthen(pair, steps[i] * measure.events)
    rows(row, pair, script, first)
  end
  pair.drop()
  pair = store:log(MANY.length * measure.events,
    MANY.openings * measure.events)
  rows(row, pair, script, first)
  pair.drop()
end
