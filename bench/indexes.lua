-- What indexes cost: the models have none at first, then one and then three,
-- and so has the table of the program in C.

local comparison = require "bench.comparison"
local measure = require "bench.measure"

local sets = {
  { "none", {} },
  { "balance", { "balance" } },
  { "balance; owner, balance; last_activity",
    { "balance", "owner, balance", "last_activity" } },
}
local ACCOUNTS = 50000

return function(store)
  local compare = comparison.begin(
    ("%s to %s with indexes, %.0f events, %d accounts"):format(store.name,
      store.name, measure.events, ACCOUNTS),
    { { "indexes", 38 } }, "of none")
  local pair = store:log(measure.events, ACCOUNTS)
  for _, set in ipairs(sets) do
    local name, indexes = table.unpack(set)
    compare({ name }, pair, { script = measure.script(indexes),
      indexes = indexes, batch = 50000 })
  end
  pair.drop()
end
