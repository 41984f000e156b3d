-- SQLite to SQLite: files, which are removed when they are done with.

local helper = require "spec.helper"
local measure = require "bench.measure"

local sqlite = {
  name = "SQLite",
  folder = measure.folder,
  event_bytes = 450, -- of a log, with its indexes
}

local function remove(path)
  for _, ending in ipairs { "", "-wal", "-shm" } do
    os.remove(path .. ending)
  end
end

function sqlite:open()
  return self
end

function sqlite.log(_, count, accounts)
  local events = measure.folder .. "/events.db"
  local models = measure.folder .. "/models.db"
  remove(events)
  measure.generate("sqlite:" .. events, count, accounts)
  return {
    count = count,
    accounts = accounts,
    events = "sqlite:" .. events,
    appends = "sqlite:" .. events,
    models = "sqlite:" .. models,
    floor = { helper.build .. "/bench/floor_sqlite", events, models },
    peer = { "sqlite.mjs", events, models, name = "better-sqlite3" },
    clear = function() remove(models) end,
    digest = function()
      return measure.must { "sqlite3", models, [[
        SELECT hex(sha3_query('SELECT id, balance, last_activity, owner,
          transaction_count FROM account_summary__b1 ORDER BY id'))]] }
    end,
    drop = function()
      remove(events)
      remove(models)
    end,
  }
end

-- The same log, longer.
function sqlite.lengthen(_, pair, count)
  measure.generate(pair.events, count, pair.accounts)
  pair.count, pair.expected = count, nil
end

function sqlite.connections() end

function sqlite.close() end

return sqlite
