-- Two readers at one place, of whom only one was given an event that came late:
-- neither goes on with what the other keeps, as long as that differs.

local helper = require "spec.helper"
local postgres = require "spec.postgres_server"
local event_store = require "event_store_test"
local subscription = require "subscription_test"
local late_log = require "spec.stores.postgres.events.late_log"

local server, reason = postgres.start()

describe("a shared reading whose place was reached otherwise #postgres",
  function()
    if not server then
      pending(reason)
      return
    end

    local database, kind, tail, readers

    local function start(name)
      kind = late_log.kinds[name]
      database = server:new_database()
      database:sql(kind.schema)
      local url = database:with(kind.query)
      tail, readers = subscription.open(url, {}), {}
      for i = 1, 2 do
        readers[i] = {
          handle = tail:subscriber(), store = assert(event_store.open(url)),
          seen = {},
        }
      end
      return readers[1], readers[2]
    end

    after_each(function()
      for _, one in ipairs(readers) do
        one.handle:close()
        one.store:close()
      end
      tail:close()
    end)

    local function new_place()
      return database:sql(kind.early)
    end

    local function insert(place, stream)
      database:sql(late_log.fill(kind.insert, place, stream, 1, "A"))
    end

    local function take(one, page)
      for _, event in ipairs(page) do
        one.seen[#one.seen + 1] =
          (type(event) == "table" and event.data or event):match '^"(%w+) 1"$'
      end
      one.position, one.state = page.reached, page.state
    end

    local function read_until(one, count)
      helper.wait(function()
        take(one, assert(one.store:read {
          after = one.position, state = one.state,
        }))
        return #one.seen >= count
      end)
    end

    local function join(one)
      return one.handle:join {
        position = one.position, state = one.state, at_head = true,
      }
    end

    -- As a projection does: together, where that can be, else by itself.
    local function go_on_until(one, count)
      helper.wait(function()
        local page, why = one.handle:next(one.state)
        if page then
          take(one, page)
        elseif why == "left" and join(one) ~= "joined" then
          read_until(one, 0)
        end
        return #one.seen >= count
      end)
    end

    -- Of two who are at one place only the first was given "late". Whoever
    -- begins the reading, it reads nothing before the other has asked to join.
    local function ask_to_join(name, begins_with_first)
      local had, had_not = start(name)
      local place = new_place()
      insert(new_place(), "early")
      read_until(had_not, 1)
      insert(place, "late")
      read_until(had, 2)
      assert.equal(had.position, had_not.position)
      tail:hold()
      assert.equal("joined", join(begins_with_first and had or had_not))
      local answer = join(begins_with_first and had_not or had)
      tail:let_go()
      return answer
    end

    local function go_on()
      insert(new_place(), "next")
      for _, one in ipairs(readers) do
        go_on_until(one, 3)
        table.sort(one.seen)
        assert.equal("early late next", table.concat(one.seen, " "))
      end
    end

    for _, name in ipairs { "custom", "eventcore" } do
      it("gives nothing of " .. name .. " twice", function()
        local answer = ask_to_join(name, false)
        go_on()
        assert.equal("later", answer)
      end)

      it("withholds nothing of " .. name, function()
        local answer = ask_to_join(name, true)
        go_on()
        assert.equal("later", answer)
      end)
    end
  end)
