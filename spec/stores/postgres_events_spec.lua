local postgres = require "spec.postgres_server"
local contract = require "spec.stores.event_store_contract"

local server, reason = postgres.start()

describe("a postgres event store #postgres", function()
  if not server then
    pending("needs a server: " .. reason)
    return
  end

  local shared = server:new_database()
  local schemas = 0

  contract {
    url = function()
      schemas = schemas + 1
      return shared:with("schema=contract_" .. schemas)
    end,
    options = { busy_timeout_ms = 50 },
    side_by_side = true,
    start = "0:0",
    far = "4611686018427387904:1",
    texts = {
      good = { "0:0", "1:0", "7:12", "9223372036854775807:1" },
      bad = {
        "", "1", ":", "1:", ":1", "1:-1", "1:1:1", " 1:1", "1:1 ", "a:b",
        "9223372036854775808:1", "1:9223372036854775808", "1:1\0",
      },
    },
    listening = function()
      return shared:sql [[
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'
          AND state = 'idle']] ~= "0"
    end,
  }

end)
