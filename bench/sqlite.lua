-- SQLite to SQLite: the logs are files that are kept.

local helper = require "spec.helper"
local measure = require "bench.measure"

local function remove(path)
  for _, ending in ipairs { "", "-wal", "-shm" } do
    os.remove(path .. ending)
  end
end

local function generated(name, count, accounts)
  local path = ("%s/%s-%d.db"):format(measure.folder, name, count)
  local file = io.open(path)
  if file then
    file:close()
    return path
  end
  print(("generating %d events over %d accounts"):format(count, accounts))
  local partial = path .. ".partial"
  remove(partial)
  measure.generate("sqlite:" .. partial, count, accounts)
  os.rename(partial, path)
  return path
end

local function pair_of(log)
  local models = measure.folder .. "/models.db"
  return {
    events = "sqlite:" .. log,
    models = "sqlite:" .. models,
    floor = { helper.build .. "/bench/floor_sqlite", log, models },
    clear = function() remove(models) end,
  }
end

return function(path)
  measure.heading "SQLite to SQLite"
  for _, log in ipairs(measure.logs) do
    local name, accounts, batch = table.unpack(log)
    batch = measure.batch or batch
    measure.throughput(
      ("%s, %d accounts, batch %s"):format(name, accounts, batch),
      pair_of(generated(name, measure.events, accounts)), path, batch)
  end
  local live = measure.folder .. "/live.db"
  remove(live)
  measure.generate("sqlite:" .. live, 10000, 1000)
  local pair = pair_of(live)
  pair.clear()
  measure.latency(pair, path)
end
