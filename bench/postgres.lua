-- PostgreSQL to PostgreSQL, on a server of its own with the settings that a
-- server has when nobody changes them.

local helper = require "spec.helper"
local measure = require "bench.measure"
local postgres = require "spec.postgres_server"

local function start()
  return postgres.own {
    fsync = true,
    settings = {
      shared_buffers = "128MB",
      max_connections = 100,
      autovacuum_naptime = "1min",
    },
  }
end

-- An event table with jsonb, made by opening it.
local function new_log(server, count, accounts)
  local log = server:new_database()
  measure.generate(log.url, 0, 0)
  log:sql [[
    ALTER TABLE lunette_events
      ALTER data TYPE jsonb, ALTER metadata TYPE jsonb]]
  measure.generate(log.url, count, accounts)
  log:sql "VACUUM ANALYZE lunette_events"
  log:sql "CHECKPOINT"
  return log
end

local function pair_of(log, models)
  return {
    events = log.url,
    appends = log:with "application_name=bench",
    models = models.url,
    floor = { helper.build .. "/bench/floor_postgres", log.url, models.url },
    clear = function()
      models:sql [[
        SET client_min_messages = warning;
        DROP SCHEMA IF EXISTS lunette CASCADE;
        DROP SCHEMA IF EXISTS floor CASCADE]]
    end,
  }
end

-- Count Lunette's connections ten times a second until the function it gives
-- is called, which gives the most there were, of a database.
local function count_connections(server, names)
  local child = helper.spawn({ server.bin .. "/psql", "-X", "-q", "-A", "-t",
    "-h", server.dir, "-U", server.user, "postgres" }, { stdin = [[
SELECT datname, count(*) FROM pg_stat_activity
WHERE application_name = 'lunette' AND backend_type = 'client backend'
GROUP BY 1 \watch 0.1
]] })
  return function()
    child:kill "TERM"
    child:wait()
    local most = {}
    for name, count in child:stdout():gmatch "(%S+)|(%d+)" do
      most[name] = math.max(most[name] or 0, tonumber(count))
    end
    local result = {}
    for i, name in ipairs(names) do
      result[i] = most[name] or 0
    end
    return table.unpack(result)
  end
end

return function(path)
  local server, why = start()
  if not server then
    print("\nPostgreSQL to PostgreSQL: not measured, " .. why)
    return
  end
  local models = server:new_database()
  measure.heading "PostgreSQL to PostgreSQL"
  for _, log in ipairs(measure.logs) do
    local name, accounts, batch = table.unpack(log)
    batch = measure.batch or batch
    local from = new_log(server, measure.events, accounts)
    local stop = count_connections(server, { from.name, models.name })
    measure.throughput(
      ("%s, %d accounts, batch %s"):format(name, accounts, batch),
      pair_of(from, models), path, batch)
    print(("  connections: %d to the events, %d to the models"):format(stop()))
    from:drop()
  end
  local live = new_log(server, 10000, 1000)
  local pair = pair_of(live, models)
  pair.clear()
  local stop = count_connections(server, { live.name, models.name })
  measure.latency(pair, path)
  print(("  connections: %d to the events, %d to the models"):format(stop()))
  server:stop()
end
