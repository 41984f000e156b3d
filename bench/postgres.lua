-- PostgreSQL to PostgreSQL, on a server of its own with the settings that a
-- server has when nobody changes them.

local helper = require "spec.helper"
local measure = require "bench.measure"
local servers = require "spec.postgres_server"

local postgres = {
  name = "PostgreSQL",
  event_bytes = 1000, -- of a log, with its indexes and what making them takes
}

-- Nil and the reason where there can be no server.
function postgres:open()
  local server, why = servers.own {
    fsync = true,
    settings = {
      shared_buffers = "128MB",
      max_connections = 100,
      autovacuum_naptime = "1min",
    },
  }
  if not server then
    return nil, why
  end
  self.server = server
  self.folder = server.dir
  self.models = server:new_database()
  return self
end

local function fill(log, count, accounts)
  measure.generate(log.url, count, accounts)
  log:sql "VACUUM ANALYZE lunette_events"
  log:sql "CHECKPOINT"
end

-- An event table with jsonb, made by opening it.
function postgres:log(count, accounts)
  local log, models = self.server:new_database(), self.models
  measure.generate(log.url, 0, 0)
  log:sql [[
    ALTER TABLE lunette_events
      ALTER data TYPE jsonb, ALTER metadata TYPE jsonb]]
  fill(log, count, accounts)
  return {
    count = count,
    accounts = accounts,
    log = log,
    events = log.url,
    appends = log:with "application_name=bench",
    models = models.url,
    floor = { helper.build .. "/bench/floor_postgres", log.url, models.url },
    peer = { "postgres.mjs", log.url, models.url, name = "pg" },
    clear = function()
      models:sql [[
        SET client_min_messages = warning;
        DROP SCHEMA IF EXISTS lunette CASCADE;
        DROP SCHEMA IF EXISTS floor CASCADE;
        DROP SCHEMA IF EXISTS peer CASCADE]]
    end,
    digest = function(schema)
      return models:sql(([[
        SELECT md5(string_agg(concat_ws('|', id, balance, last_activity, owner,
          transaction_count), ' ' ORDER BY id))
        FROM %s.account_summary__b1]]):format(schema))
    end,
    drop = function() log:drop() end,
  }
end

function postgres.lengthen(_, pair, count)
  fill(pair.log, count, pair.accounts)
  pair.count, pair.expected = count, nil
end

-- How many Lunette has, to events and models.
function postgres:connections()
  return tonumber(self.server:sql("postgres", [[
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'lunette' AND backend_type = 'client backend']]))
end

function postgres:close()
  self.server:stop()
end

return postgres
