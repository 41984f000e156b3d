-- Stores of every format that there has been, as dumps.

local helper = require "spec.helper"
local event_store = require "event_store_test"
local kit = require "spec.stores.model_kit"

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.matches(pattern, message)
end

describe("the format of a sqlite store", function()
  local path

  before_each(function()
    path = helper.tmpdir() .. "/store.db"
  end)

  local function sql(text)
    local code, output, errors = helper.run({ "sqlite3", path },
      { stdin = text })
    assert(code == 0, errors)
    return (output:gsub("\n$", ""))
  end

  local function restore(name)
    sql(helper.read_file("spec/stores/formats/sqlite-" .. name .. ".sql"))
  end

  local function open(options)
    return kit.open("sqlite:" .. path, options)
  end

  local function open_events(options)
    return event_store.open("sqlite:" .. path, options)
  end

  describe("of models", function()
    local present = 3
    local schema = kit.schema { projection = "counter",
      fields = { note = "text", total = "integer" },
      indexes = { { "total" } } }

    -- The engine's columns and indexes.
    local function tables()
      return sql [[
        SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
        FROM sqlite_schema t, pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name GLOB 'lunette_*' ORDER BY 1, 2;
        SELECT sql FROM sqlite_schema WHERE type = 'index'
        AND tbl_name GLOB 'lunette_*' AND sql IS NOT NULL ORDER BY name;]]
    end

    local function format()
      return tonumber(sql "SELECT format FROM lunette_store;")
    end

    local function numbers()
      return sql [[SELECT (SELECT fence FROM lunette_owners),
        (SELECT revision FROM lunette_checkpoints),
        (SELECT revision FROM lunette_projections);]]
    end

    -- A store of the format before, which an open one has under its feet.
    local function set_back()
      sql [[ALTER TABLE lunette_parked DROP COLUMN tenant;
        ALTER TABLE lunette_skipped DROP COLUMN tenant;
        UPDATE lunette_store SET format = 2;]]
    end

    it("is refused where it is none", function()
      restore "models-0"
      for _, options in ipairs { {}, { must_exist = 1 } } do
        fails("config", "its tables were made before stores said what format "
          .. "they have.*build the models anew in another place",
          open(options))
      end
      assert.equal("3", sql "SELECT total FROM counter;")
    end)

    it("is refused where it is a later one", function()
      restore("models-" .. present)
      sql "UPDATE lunette_store SET format = 99, made_by = '9.8.7';"
      for _, options in ipairs { {}, { must_exist = 1 } } do
        fails("config", "is of format 99, made by Lunette 9%.8%.7; this is "
          .. "Lunette %S+, which reads format " .. present, open(options))
      end
    end)

    it("is what a store is made with", function()
      assert(open()):close()
      local made = tables()
      assert.equal(present, format())
      path = helper.tmpdir() .. "/other.db"
      restore("models-" .. present)
      assert.equal(made, tables())
    end)

    for number = 1, present do
      it(number .. " is read and goes on", function()
        restore("models-" .. number)
        local store = assert(open())
        local c = assert(store:checkpoint "counter")
        assert.equal(3, c.position)
        assert.equal(number < present and 3 or 2, c.revision)
        assert.equal(2, c.rows_revision)
        assert.matches("^A%x+%-", c.source_state)
        assert.equal(1, c.script_count)
        assert.equal(1, c.parked_count)
        assert.matches("event 2 .Counted on s.: ",
          store:parked("counter")[1].error)
        local owner = kit.own(store, schema, "counter")
        assert.same({ a = { note = "two", total = 3 } }, owner:load "a")
        owner:commit { a = { total = 4 } }
        assert.equal("4", sql "SELECT total FROM counter;")
        store:close()
      end)
    end

    for number = 1, present - 1 do
      describe(number .. ", upgraded,", function()
        before_each(function()
          restore("models-" .. number)
        end)

        it("has the tables of the present one", function()
          assert(open()):close()
          assert.equal(present, format())
          local upgraded = tables()
          path = helper.tmpdir() .. "/other.db"
          restore("models-" .. present)
          assert.equal(tables(), upgraded)
        end)

        it("is left as it is by who only looks", function()
          fails("config", "is of format " .. number .. ", this Lunette reads "
            .. present .. ': "lunette run" upgrades it',
            open { must_exist = 1 })
          assert.equal(number, format())
        end)

        it("is so once, however many do it", function()
          assert.equal("1|2|1", numbers())
          local children = {}
          for i = 1, 4 do
            children[i] = helper.spawn { "lua5.4", "-e", ([[
              package.path = "./?.lua;" .. package.path
              assert(require("spec.stores.model_kit").open(%q))]]):format(
              "sqlite:" .. path) }
          end
          for _, child in ipairs(children) do
            assert.equal(0, child:wait(), child:stderr())
          end
          assert.equal("2|3|2", numbers())
        end)
      end)
    end

    it("is upgraded once no engine has a lock", function()
      local store = assert(open())
      local shard = { "counter", build = 1, shard = 2 }
      local first = kit.own(store, schema, "counter")
      local second = kit.own(store, schema, shard)
      set_back()
      for _, owner in ipairs { first, second } do
        fails("owned", "is of format 2, and cannot be upgraded to 3 while "
          .. 'projection "counter" is run by the spec: stop that engine first',
          open())
        assert.equal(2, format())
        store:release(owner.key, owner.fence)
      end
      assert(open()):close()
      assert.equal(present, format())
      store:close()
    end)

    it("when upgraded is out of reach of what opened it before", function()
      local store = assert(open())
      local owner = kit.own(store, schema, "counter")
      owner:commit { a = { total = 1 } }
      set_back()
      assert(os.remove(path .. ".counter.b1.s0.lock"))
      assert(open()):close()
      fails("conflict", "ownership", owner:try_commit { a = { total = 2 } })
      assert.equal("1", sql "SELECT total FROM counter;")
      store:close()
    end)

    it("is compared by who acquires something", function()
      restore("models-" .. present)
      local store = assert(open())
      sql "UPDATE lunette_store SET format = 99, made_by = '9.8.7';"
      fails("config", "is of format 99", store:acquire("counter", "me"))
      fails("config", "is of format 99", store:acquire("other", "me"))
      assert.equal("1|1",
        sql "SELECT count(*), max(fence) FROM lunette_owners;")
      store:close()
    end)

    it("is made once, however many do it", function()
      local children = {}
      for i = 1, 4 do
        children[i] = helper.spawn { "lua5.4", "-e", ([[
          package.path = "./?.lua;" .. package.path
          assert(require("spec.stores.model_kit").open(%q))]]):format(
          "sqlite:" .. path) }
      end
      for _, child in ipairs(children) do
        assert.equal(0, child:wait(), child:stderr())
      end
      assert.equal("1", sql "SELECT count(*) FROM lunette_store;")
    end)
  end)

  describe("of events", function()
    it("is refused where it is none", function()
      restore "events-0"
      for _, options in ipairs { {}, { must_exist = true } } do
        fails("config", "its tables were made before stores said what format "
          .. "they have.*append the events to a new store",
          open_events(options))
      end
      assert.equal("3", sql "SELECT count(*) FROM events;")
    end)

    it("is refused where it is a later one", function()
      restore "events-1"
      sql "UPDATE lunette_event_store SET format = 99, made_by = '9.8';"
      fails("config", "is of format 99, made by Lunette 9%.8; this is ",
        open_events())
    end)

    it("is added to a table that somebody else made", function()
      local table_sql = helper.read_file("docs/event-table.md")
        :match "```sql\n(.-)```"
      sql((table_sql:gsub("%(%.%.%.a random UUID%.%.%.%)",
        "(hex(randomblob(16)))"):gsub("%(%.%.%.micro.-%.%.%.%)", "1")))
      local store = assert(open_events())
      assert(store:append { { stream = "s", type = "Counted", data = "{}" } })
      store:close()
      assert.equal("1", sql "SELECT format FROM lunette_event_store;")
    end)

    it("1 is read and appended to", function()
      restore "events-1"
      local store = assert(open_events())
      assert.equal("3", store:head())
      assert(store:append { { stream = "s", type = "Counted", data = "{}" } })
      store:close()
      assert.equal("4", sql "SELECT max(version) FROM events;")
    end)
  end)

  describe("is marked in the file", function()
    local function application_id()
      return sql "PRAGMA application_id;"
    end

    it("that Lunette made", function()
      assert(open()):close()
      assert.equal("1282764389", application_id())
      assert(open_events()):close()
      path = helper.tmpdir() .. "/events.db"
      assert(open_events()):close()
      assert.equal("1282764389", application_id())
      assert(open()):close()
      assert.equal("1282764389", application_id())
    end)

    it("and in no other", function()
      sql "CREATE TABLE theirs (n);"
      assert(open()):close()
      assert(open_events()):close()
      assert.equal("0", application_id())
      path = helper.tmpdir() .. "/theirs.db"
      sql "PRAGMA application_id = 77;"
      assert(open()):close()
      assert(open_events()):close()
      assert.equal("77", application_id())
    end)
  end)
end)
