local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"
local postgres = require "spec.postgres_server"
local layouts = require "spec.stores.postgres.events.gap_layouts"
local pg_session = require "pg_session"

describe("lunette gaps", function()
  local place

  before_each(function()
    place = workplace.new()
  end)

  it("has nothing to say of a store without any", function()
    place:counter()
    place:count("a", 1)
    place:done { "run", "--once" }
    assert.equal("[]\n", place:done { "gaps", "--json" })
  end)

  describe("of a store that has some #postgres", function()
    local server, reason = postgres.start()
    if not server then
      pending(reason)
      return
    end

    local database

    before_each(function()
      database = server:new_database()
      database:sql(layouts.marten.schema)
      place.env.LUNETTE_EVENTS = database:with "layout=marten&grace_ms=0"
      place.env.LUNETTE_MODELS = "sqlite:models.db"
      place:write("projections/moves.lua", [[
        return {
          name = "moves",
          version = 1,
          extract_model_id = function(event) return event.stream end,
          apply_to_model = function(model)
            return { n = (model and model.n or 0) + 1 }
          end,
        }]])
    end)

    local function append(session, stream, version)
      session:run(([[
        INSERT INTO mt_streams (id, version) VALUES ('%s', %d)
        ON CONFLICT DO NOTHING;
        INSERT INTO mt_events (seq_id, id, stream_id, version, data, type)
        VALUES (nextval('mt_events_sequence'), gen_random_uuid(), '%s', %d,
          '{}', 'moved')]]):format(stream, version, stream, version))
    end

    it("is not passed by a run to the head before its writer has ended",
      function()
        local early = pg_session.open(database.url)
        local other = pg_session.open(database.url)
        early:run "BEGIN"
        append(early, "b", 1)
        append(other, "a", 1)
        local running = place:spawn { "run", "--once" }
        helper.wait(function()
          local code, out = place:run { "gaps", "moves", "--json" }
          return code == 0 and out:find('"state":"open"', 1, true)
        end)
        early:run "COMMIT"
        assert.equal(0, running:wait())
        early:close()
        other:close()
        local models = place:done { "query", "moves", "--json" }
        assert.matches('"id":"a".*"id":"b"', models)
      end)

    it("nor is an id that is too young", function()
      local young = server:new_database()
      young:sql(layouts.eventcore.schema)
      young:sql [[
        INSERT INTO eventcore_events
          (event_id, stream_id, stream_version, event_type, event_data)
        VALUES (uuid_v7(gen_random_uuid()::text), 'a', 1, 'E', '{"B": {}}')]]
      place.env.LUNETTE_EVENTS = young:with "layout=eventcore"
      place:done { "run", "--once" }
      assert.matches('"id":"a"', place:done { "query", "moves", "--json" })
    end)

    it("tells what is waited for, and what was passed over", function()
      local early = pg_session.open(database.url)
      local other = pg_session.open(database.url)
      append(other, "a", 1)
      early:run "BEGIN"
      append(early, "b", 1)
      append(other, "a", 2)
      local running = place:spawn { "run" }
      local function gaps()
        local code, out = place:run { "gaps", "moves", "--json" }
        return code == 0 and out or ""
      end
      local open = helper.wait(function()
        return gaps():match '{[^}]*"state":"open"[^}]*}'
      end)
      assert.matches('"from":"2","to":"2","numbers":1', open)
      assert.matches('"reason":"a transaction of postgres %(pid %d+', open)
      early:run "ROLLBACK"
      local skipped = helper.wait(function()
        return gaps():match '{[^}]*"state":"skipped"[^}]*}'
      end)
      assert.matches('"from":"2","to":"2","numbers":1', skipped)
      assert.matches("no transaction that could bring it", skipped)
      assert.matches('","from_token":"1(%x+%-0+2)","to_token":"1%1"}$',
        skipped)
      assert.is_nil(gaps():find('"open"', 1, true))
      running:kill "TERM"
      assert.equal(0, running:wait())
      early:close()
      other:close()
      assert.matches("moves +skipped +2 +2 +1 ", place:done { "gaps" })
    end)

    describe("in the order of transactions", function()
      local early

      before_each(function()
        local own = server:new_database()
        place.env.LUNETTE_EVENTS = own.url
        place:done { "append", "--stream", "a", "--type", "T", "--data", "1" }
        place:done { "run", "--once" }
        early = pg_session.open(own.url)
        early:run "CREATE TABLE junk (x int)"
        early:run "BEGIN"
        early:run "INSERT INTO junk VALUES (1)"
        place:done { "append", "--stream", "b", "--type", "T", "--data", "1" }
      end)

      after_each(function()
        early:close()
      end)

      local HOLDER = "transaction %d+ of postgres %(pid %d+, database [^)]*%)"

      local function started()
        local running = place:spawn { "run", "--once" }
        helper.wait(function()
          return running:stderr():match("moves waits for " .. HOLDER)
        end)
        return running
      end

      it("tells who holds events back that can be seen", function()
        local running = started()
        local status = helper.wait(function()
          local _, out = place:run { "status", "--json" }
          return out:find('"waiting_for":"t', 1, true) and out
        end)
        assert.matches('"waiting_for":"' .. HOLDER, status)
        assert.matches('"lag_events":1', status)
        local held = place:done { "gaps", "moves", "--json" }
        assert.matches('"state":"held"', held)
        assert.matches('"numbers":1', held)
        assert.matches('"reason":"' .. HOLDER, held)
        assert.matches("moves +held +", place:done { "gaps" })
        early:run "COMMIT"
        assert.equal(0, running:wait())
        assert.matches('"id":"b"', place:done { "query", "moves", "--json" })
        assert.equal("[]\n", place:done { "gaps", "--json" })
      end)

      it("lets a run that waits for them be ended", function()
        local running = started()
        running:kill "INT"
        assert.equal(1, running:wait())
        early:run "COMMIT"
      end)
    end)
  end)
end)
