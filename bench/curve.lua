-- Long logs, and one of many models: the rate and the memory at each length,
-- compared with those at the first. A log is made longer from one to the next.

local comparison = require "bench.comparison"
local measure = require "bench.measure"

local ACCOUNTS = 50000
local lengths = { SQLite = { 1, 10, 30 }, PostgreSQL = { 1, 10 } }
-- Ten times the events, of which so many in ten open an account.
local MANY = { length = 10, openings = 2 }

return function(store)
  local steps = lengths[store.name]
  local longest = steps[#steps] * measure.events
  local title = ("%s to %s, long logs"):format(store.name, store.name)
  if not measure.has_room(store.folder, longest * store.event_bytes, title)
  then
    return
  end
  local compare = comparison.begin(title,
    { { "events", 10, "," }, { "accounts", 9, "," } }, "of the first")
  local test = { script = measure.script {}, indexes = {}, batch = 50000 }
  local pair = store:log(measure.events, ACCOUNTS)
  for i, step in ipairs(steps) do
    if i > 1 then
      store:lengthen(pair, step * measure.events)
    end
    compare({ pair.count, pair.accounts }, pair, test)
  end
  pair.drop()
  pair = store:log(MANY.length * measure.events,
    MANY.openings * measure.events)
  compare({ pair.count, pair.accounts }, pair, test)
  pair.drop()
end
