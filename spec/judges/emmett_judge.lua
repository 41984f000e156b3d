-- Emmett's own package writes, Lunette reads.

local helper = require "spec.helper"
local kit = require "spec.judges.judge_kit"

local seed = helper.seed()

describe("what Emmett writes #judges, seed " .. seed, function()
  if kit.missing then
    pending(kit.missing)
    return
  end

  for _, version in ipairs(kit.versions) do
    it("becomes models once and in order, PostgreSQL " .. version, function()
      local server = kit.server(version)
      finally(function() server:stop "immediate" end)
      local database = server:new_database()
      local writer = kit.write("emmett", database.url, seed, 25)
      helper.wait(function()
        return database:sql "SELECT to_regclass('emt_messages')" ~= ""
          or writer:wait(0) and error(writer:stderr())
      end)
      local events = database:with "layout=emmett"
      local places = {
        kit.place(events, "sqlite:models.db"),
        kit.place(events, database:with "schema=models"),
      }
      local said = kit.kill_while_writing(writer, places, helper.random(seed))
      assert.is_true(said.written > 300 and said.rolledBack > 10)
      local written = kit.read_back("emmett", database.url)
      for _, place in ipairs(places) do
        kit.check(place, written)
      end
    end)
  end
end)
