-- What indexes cost: an account has one at first, then three, and so has the
-- table of the program in C.

local measure = require "bench.measure"
local programs = require "bench.programs"
local tables = require "bench.table"

local sets = {
  { "none", {} },
  { "balance", { "balance" } },
  { "balance; owner, balance; last_activity",
    { "balance", "owner, balance", "last_activity" } },
}
local ACCOUNTS = 50000

local columns = {
  { "indexes", 38 }, { "program", 14 }, { "events/s", 9, "," },
  { "of none", 7, "%.2f" }, { "Lunette to it", 13, "%.2f" },
  { "least to most", 13 }, { "peak MiB", 8, "%.0f" },
}

return function(store)
  local row = tables.begin(("%s to %s with indexes, %.0f events, %d accounts")
    :format(store.name, store.name, measure.events, ACCOUNTS), columns)
  local pair = store:log(measure.events, ACCOUNTS)
  local none
  for _, set in ipairs(sets) do
    local name, indexes = table.unpack(set)
    local results = measure.compare(programs.over(pair, {
      script = measure.script(indexes), indexes = indexes, batch = 50000,
    }))
    none = none or results
    for i, result in ipairs(results) do
      row {
        name, result.name, result.rate.median,
        result.rate.median / none[i].rate.median,
        i > 1 and result.ratio.median or "",
        i > 1 and measure.range(result.ratio, "%.2f") or "",
        result.peak,
      }
    end
  end
  pair.drop()
end
