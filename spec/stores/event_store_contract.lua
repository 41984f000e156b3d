-- What every event store promises. A store's spec calls this function inside
-- its describe, with
--   url()      the URL of a fresh, empty store, opened once at most
--   options    for open (optional)
--   start      the text of the position before every event ("0")
--   far        the text of one that no event will reach ("1000000")
--   texts      lists of good and of bad positions (decimal numbers)
--   listening  called with a store that was asked for its wake_fd, until true
--   side_by_side  writers of different streams do not wait for each other
--   polled     it gives no hints of news
--   tenants    its events may be of tenants

local helper = require "spec.helper"
local assert = require "luassert"
local busted = require "busted"
local event_store = require "event_store_test"

-- busted gives its words to spec files only.
local describe, it = busted.describe, busted.it
local before_each, after_each = busted.before_each, busted.after_each

local function event(stream, type, data)
  return { stream = stream, type = type or "Moved", data = data or "{}" }
end

local function events_of(stream, count)
  local events = {}
  for i = 1, count do
    events[i] = event(stream, i % 2 == 0 and "Even" or "Odd", tostring(i))
  end
  return events
end

local function column(events, name)
  local values = {}
  for i, found in ipairs(events) do
    values[i] = found[name]
  end
  return values
end

-- Every event, page by page, as a reader that saves its checkpoint would.
local function read_all(store, request)
  local events = {}
  request = request or {}
  local page
  repeat
    page = assert(store:read(request))
    for _, found in ipairs(page) do
      events[#events + 1] = found
    end
    request.after, request.state = page.reached, page.state
  until page.at_head
  return events, page
end

local decimals = {
  good = { "0", "1", "9223372036854775807" },
  bad = {
    "", "-1", "+1", " 1", "1 ", "1.0", "0x1", "ten",
    "9223372036854775808", "99999999999999999999", "1\0",
  },
}

-- As a pattern that matches nothing else.
local function plain(text)
  return (text:gsub("%p", "%%%0"))
end

return function(driver)
  local start = driver.start or "0"
  local store
  local open_stores

  local function connect()
    local other = assert(store:connect())
    open_stores[#open_stores + 1] = other
    return other
  end

  before_each(function()
    store = assert(event_store.open(driver.url(), driver.options))
    open_stores = { store }
  end)

  after_each(function()
    for i = #open_stores, 1, -1 do
      open_stores[i]:close()
    end
  end)

  describe("reading", function()
    it("finds nothing in a new store", function()
      local page = assert(store:read {})
      assert.same({ reached = start, state = "", at_head = true }, page)
      assert.equal(start, store:head())
    end)

    it("gives events back in order and byte for byte", function()
      assert(store:append {
        {
          id = "first",
          stream = "a",
          type = "Opened",
          data = '{ "z" : 1.50, "a": [ ] }',
          metadata = '{"by":"me"}',
          recorded_at = 1700000000123456,
        },
        { stream = "b", type = "Closed", data = "null" },
      })
      local page = assert(store:read {})
      assert.equal(2, #page)
      assert.same({
        id = "first",
        position = page[1].position,
        stream = "a",
        version = 1,
        type = "Opened",
        data = '{ "z" : 1.50, "a": [ ] }',
        metadata = '{"by":"me"}',
        recorded_at = 1700000000123456,
      }, page[1])
      assert.equal("b", page[2].stream)
      assert.is_nil(page[2].metadata)
    end)

    it("keeps any Unicode", function()
      local text = "Grüße, 世界 \u{1F319}"
      assert(store:append { event(text, text, '{"' .. text .. '":"\\u0000"}') })
      local page = assert(store:read {})
      assert.equal(text, page[1].stream)
      assert.equal(text, page[1].type)
      assert.equal('{"' .. text .. '":"\\u0000"}', page[1].data)
      assert.equal(1, #assert(store:read { stream = text, types = { text } }))
    end)

    it("gives the same events in any page size", function()
      assert(store:append(events_of("a", 50)))
      local ids = column(read_all(store), "id")
      for _, max in ipairs { 1, 7, 49, 50, 51 } do
        assert.same(ids, column(read_all(store, { max = max }), "id"))
      end
    end)

    it("stops at the number of events asked for", function()
      assert(store:append(events_of("a", 3)))
      local page = assert(store:read { max = 2 })
      assert.equal(2, #page)
      assert.is_false(page.at_head)
      assert.equal(page[2].position, page.reached)
    end)

    it("passes a limit in bytes by one event at most", function()
      local data = '"' .. ("x"):rep(1000) .. '"'
      for _ = 1, 5 do
        assert(store:append { event("a", "Big", data) })
      end
      assert.equal(1, #assert(store:read { max_bytes = 1 }))
      assert.equal(1, #assert(store:read { max_bytes = 0 }))
      assert.equal(2, #assert(store:read { max_bytes = 4000 }))
    end)

    it("says at_head only when the end was seen", function()
      assert(store:append(events_of("a", 3)))
      local page = assert(store:read { max = 3 })
      page = assert(store:read { after = page.reached, state = page.state })
      assert.equal(0, #page)
      assert.is_true(page.at_head)
      assert.is_true(assert(store:read { max = 4 }).at_head)
    end)

    it("stays where it is when there is nothing new", function()
      assert(store:append(events_of("a", 3)))
      local _, page = read_all(store)
      local again =
        assert(store:read { after = page.reached, state = page.state })
      assert.equal(page.reached, again.reached)
      assert.equal(page.state, again.state)
    end)
  end)

  describe("a filter", function()
    local positions

    before_each(function()
      assert(store:append(events_of("a", 6)))
      assert(store:append(events_of("b", 4)))
      positions = column(read_all(store), "position")
    end)

    it("picks types", function()
      local events = read_all(store, { types = { "Even", "Other" } })
      assert.same({ "2", "4", "6", "2", "4" }, column(events, "data"))
    end)

    it("picks a stream", function()
      for _, max in ipairs { 1, 2, 3, 4, 5 } do
        local events = read_all(store, { stream = "b", max = max })
        assert.same({ "1", "2", "3", "4" }, column(events, "data"))
      end
    end)

    it("picks types of a stream", function()
      local events =
        read_all(store, { stream = "b", types = { "Odd" }, max = 1 })
      assert.same({ "1", "3" }, column(events, "data"))
    end)

    it("moves over events that nobody wants", function()
      local page = assert(store:read { types = { "Never" } })
      assert.equal(0, #page)
      assert.equal(store:head(), page.reached)
      assert.is_true(page.at_head)
      assert.is_true(#page.state > 0)
      page = assert(store:read { stream = "a", after = positions[8] })
      assert.equal(store:head(), page.reached)
      assert.is_true(page.at_head)
    end)

    it("does not reach beyond the last event of a full page", function()
      local page = assert(store:read { stream = "a", max = 2 })
      assert.equal(positions[2], page.reached)
      assert.is_false(page.at_head)
    end)

    it("refuses names that are no text", function()
      assert(store:append { event "a" })
      for _, name in ipairs { "\xff", "a\0", "\xed\xa0\x80" } do
        for what, call in pairs {
          stream = function() return store:read { stream = name } end,
          type = function() return store:lag { types = { "T", name } } end,
          id = function() return store:find(name) end,
        } do
          local done, message, code = call()
          assert.is_nil(done)
          assert.equal("invalid", code)
          assert.matches("the " .. what .. " that is looked for is no text",
            message)
        end
      end
    end)

    it("matches whole names only", function()
      assert.equal(0, #read_all(store, { types = { "Eve", "Evening", "" } }))
      assert.equal(0, #read_all(store, { stream = "" }))
    end)
  end)

  describe("a read up to a position", function()
    local positions

    before_each(function()
      assert(store:append(events_of("a", 6)))
      assert(store:append(events_of("b", 4)))
      positions = column(read_all(store), "position")
    end)

    -- Page by page, to that position and then on; where it came to, and with
    -- what.
    local function read_over(request, upto)
      local events = {}
      local page
      request.upto = upto
      repeat
        page = assert(store:read(request))
        for _, found in ipairs(page) do
          events[#events + 1] = found.position
        end
        request.after, request.state = page.reached, page.state
      until page.reached == upto
      local count = #events
      local state = page.state
      request.upto = nil
      for i, found in ipairs(read_all(store, request)) do
        events[count + i] = found.position
      end
      return events, count, state, page
    end

    it("comes to it and no further, in any page size", function()
      for at, upto in ipairs(positions) do
        for _, max in ipairs { 1, 3, 20 } do
          local events, count, _, page = read_over({ max = max }, upto)
          assert.equal(at, count)
          assert.is_true(at == #positions or not page.at_head)
          assert.same(positions, events)
        end
      end
    end)

    it("comes to it where nobody wants the event, with its anchor", function()
      for _, filter in ipairs {
        { types = { "Even" } }, { types = { "Never" } }, { stream = "a" },
        { stream = "b", types = { "Odd" } },
      } do
        local wanted = column(read_all(store, {
          types = filter.types, stream = filter.stream,
        }), "position")
        for _, upto in ipairs(positions) do
          filter.after, filter.state = nil, nil
          local events, _, state = read_over(filter, upto)
          assert.same(wanted, events)
          local _, _, free = read_over({}, upto)
          assert.is_true((store:same_reach(free, state)))
        end
      end
    end)

    it("gives nothing where it is already", function()
      local page = assert(store:read { max = 4 })
      local again = assert(store:read {
        after = page.reached, state = page.state, upto = page.reached,
      })
      assert.equal(0, #again)
      assert.equal(page.reached, again.reached)
      assert.equal(page.state, again.state)
      assert.is_false(again.at_head)
    end)

    it("is at the head only if there is no more", function()
      assert.is_false(assert(store:read { upto = positions[9] }).at_head)
      assert.is_true(assert(store:read { upto = positions[10] }).at_head)
      assert.is_false(assert(
        store:read { upto = positions[9], stream = "b" }).at_head)
    end)
  end)

  describe("two readers at one position", function()
    it("may go on with each other's state", function()
      assert(store:append(events_of("a", 6)))
      local page = assert(store:read { max = 4 })
      local other = assert(store:read {
        types = { "Never" }, upto = page.reached,
      })
      assert.is_true((store:same_reach(page.state, other.state)))
      assert.is_true((store:same_reach(other.state, page.state)))
      assert.is_true((store:same_reach("", "")))
    end)

    it("may not where they came to different events", function()
      assert(store:append(events_of("a", 6)))
      local page = assert(store:read { max = 4 })
      local other = assert(store:read { max = 5 })
      assert.is_false((store:same_reach(page.state, other.state)))
      assert.is_false((store:same_reach(page.state, "")))
      assert.is_false((store:same_reach("", page.state)))
      assert.is_false((store:same_reach(page.state, "other")))
    end)

    it("may have seen other tenants", function()
      assert.is_true((store:same_reach("Ax", "T1:ax")))
      assert.is_true((store:same_reach("Mx", "T0:x")))
      assert.is_false((store:same_reach("Ax", "My")))
    end)
  end)

  describe("an anchor", function()
    it("refuses a position behind the head", function()
      assert(store:append(events_of("a", 3)))
      local page, message, code = store:read { after = driver.far or "1000000" }
      assert.is_nil(page)
      assert.equal("config", code)
      assert.matches("rebuild", message)
    end)

    it("refuses another event in the place of the one read last", function()
      local second = assert(store:append(events_of("a", 3)))[2].position
      local page, message, code =
        store:read { after = second, state = "Aother" }
      assert.is_nil(page)
      assert.equal("config", code)
      assert.matches("position " .. plain(second), message)
      assert.matches("rebuild", message)
    end)

    it("refuses a state of a format that it does not read", function()
      local second = assert(store:append(events_of("a", 3)))[2].position
      for _, state in ipairs { "other", "T", "T2", "T2:a", "T9:a", "Tx:" } do
        local page, message, code =
          store:read { after = second, state = state }
        assert.is_nil(page)
        assert.equal("config", code)
        assert.matches("format", message)
      end
    end)

    it("is kept behind the letter of its format", function()
      assert(store:append(events_of("a", 3)))
      local head = driver.tenants and "T0:" or "A"
      for _, max in ipairs { 2, 3 } do
        local state = store:read({ max = max }).state
        assert.equal(head, state:sub(1, #head))
      end
    end)

    it("takes a position that was set without one", function()
      local second = assert(store:append(events_of("a", 3)))[2].position
      assert.equal(1, #assert(store:read { after = second }))
    end)

    it("is good on another connection", function()
      assert(store:append(events_of("a", 3)))
      local page = assert(store:read { max = 2 })
      local rest = assert(
        connect():read { after = page.reached, state = page.state })
      assert.equal(1, #rest)
    end)
  end)

  describe("appending", function()
    it("tells positions and versions", function()
      local first = assert(store:append {
        event "a", event "b", event "a",
      })
      assert.same({ 1, 1, 2 }, column(first, "version"))
      assert.same({ false, false, false }, column(first, "existed"))
      local events = read_all(store)
      assert.same(column(first, "position"), column(events, "position"))
      assert.equal(first[3].position, store:head())
      assert.equal(3, assert(store:append { event "a" })[1].version)
    end)

    it("gives ids and times where there are none", function()
      local before = os.time() * 1000000
      assert(store:append { event "a", event "a" })
      local page = assert(store:read {})
      local uuid = "^%x+%-%x+%-4%x+%-[89ab]%x+%-%x+$"
      assert.matches(uuid, page[1].id)
      assert.matches(uuid, page[2].id)
      assert.equal(36, #page[1].id)
      assert.are_not.equal(page[1].id, page[2].id)
      assert.is_true(page[1].recorded_at >= before)
      assert.is_true(page[1].recorded_at < before + 3600 * 1000000)
    end)

    it("takes an expected version that is right", function()
      local opened = event "a"
      opened.expect = 0
      local moved = event "a"
      moved.expect = 1
      assert(store:append { opened, moved })
      moved.expect = 2
      assert.equal(3, assert(store:append { moved })[1].version)
    end)

    it("refuses an expected version that is wrong", function()
      local seven = assert(store:append(events_of("account-1", 7)))
      local late = event "account-1"
      late.expect = 5
      local done, message, code = store:append { late }
      assert.is_nil(done)
      assert.equal("conflict", code)
      assert.matches(
        "stream account%-1 is at version 7, expected 5", message)
      late.expect = 0
      assert.equal("conflict", select(3, store:append { late }))
      assert.equal(seven[7].position, store:head())
    end)

    it("writes all of a call or nothing", function()
      local first = assert(store:append { event "a" })[1].position
      local late = event "a"
      late.expect = 9
      local _, _, code = store:append { event "b", event "a", late }
      assert.equal("conflict", code)
      assert.equal(first, store:head())
      assert.equal(1, #read_all(store))
      local results = assert(store:append { event "b", event "a" })
      assert.same({ 1, 2 }, column(results, "version"))
      assert.same({ first, results[1].position, results[2].position },
        column(read_all(store), "position"))
    end)

    it("writes an id once", function()
      local opened = event("a", "Opened")
      opened.id = "the-id"
      local first = assert(store:append { opened })[1]
      opened.data = '"another"'
      opened.expect = 0
      local second = assert(store:append { event "a", opened, opened })
      assert.same({ false, true, true }, column(second, "existed"))
      assert.equal(first.position, second[2].position)
      assert.equal(1, second[3].version)
      assert.same({ "{}", "{}" }, column(read_all(store), "data"))
    end)

    it("writes an id that comes twice in a call once", function()
      local opened = event("a", "Opened")
      opened.id = "the-id"
      local results = assert(store:append { opened, opened })
      assert.same({ false, true }, column(results, "existed"))
      assert.equal(results[1].position, results[2].position)
      assert.equal(1, #read_all(store))
    end)

    it("takes no events for done", function()
      assert.same({}, store:append {})
    end)

    local refused = {
      ["an empty stream"] = { stream = "" },
      ["a stream that is too long"] = { stream = ("x"):rep(1001) },
      ["a stream with a NUL"] = { stream = "a\0b" },
      ["a stream that is not UTF-8"] = { stream = "a\xff" },
      ["an empty type"] = { type = "" },
      ["a type that is too long"] = { type = ("x"):rep(1001) },
      ["a type with a surrogate"] = { type = "\xed\xa0\x80" },
      ["an empty id"] = { id = "" },
      ["an id that is too long"] = { id = ("x"):rep(1001) },
      ["an id with a NUL"] = { id = "\0" },
      ["data that is no JSON"] = { data = "{" },
      ["empty data"] = { data = "" },
      ["data with duplicate keys"] = { data = '{"a":1,"a":2}' },
      ["data that is not UTF-8"] = { data = '"\xff"' },
      ["data that is too long"] = {
        data = '"' .. ("x"):rep(16 << 20) .. '"',
      },
      ["metadata that is no JSON"] = { metadata = "nil" },
      ["a negative version"] = { expect = -2 },
      ["a time beyond the years"] = { recorded_at = 253402300800000000 },
      ["a time before the years"] = { recorded_at = -62135596800000001 },
      ["the end of time"] = { recorded_at = math.maxinteger },
      ["the beginning of time"] = { recorded_at = math.mininteger + 1 },
    }
    for what, changes in pairs(refused) do
      it("refuses " .. what, function()
        local wrong = event "a"
        for key, value in pairs(changes) do
          wrong[key] = value
        end
        local done, message, code = store:append { event "a", wrong }
        assert.is_nil(done)
        assert.equal("invalid", code)
        assert.matches("^append event 2 of 2: %w+", message)
        assert.equal(start, store:head())
      end)
    end

    it("takes names and data of the greatest length", function()
      local long = ("x"):rep(1000)
      local big = event(long, long, '"' .. ("x"):rep((16 << 20) - 2) .. '"')
      big.id = long
      assert(store:append { big })
      local page = assert(store:read {})
      assert.equal(16 << 20, #page[1].data)
      assert.equal(long, page[1].id)
    end)
  end)

  describe("a transaction", function()
    it("is seen by others when it commits", function()
      local other = connect()
      assert(store:begin())
      assert(store:append(events_of("a", 2)))
      assert(store:append(events_of("b", 2)))
      assert.equal(0, #read_all(other))
      assert.equal(start, other:head())
      assert(store:commit())
      assert.equal(4, #read_all(other))
    end)

    it("leaves nothing behind when it is rolled back", function()
      local opened = event "a"
      opened.id = "the-id"
      local first = assert(store:append { event "a" })[1].position
      assert(store:begin())
      assert(store:append { opened, event "b" })
      store:rollback()
      store:rollback()
      assert.equal(first, store:head())
      assert.equal("not_found", select(3, store:find "the-id"))
      local results = assert(store:append { opened, event "b" })
      assert.same({ first, results[1].position, results[2].position },
        column(read_all(store), "position"))
      assert.same({ 2, 1 }, column(results, "version"))
    end)

    it("goes on after an append that was refused", function()
      local late = event "a"
      late.expect = 9
      assert(store:begin())
      assert(store:append { event "a" })
      assert.equal("conflict",
        select(3, store:append { event "a", event "b", late }))
      late.stream = ""
      assert.equal("invalid", select(3, store:append { event "a", late }))
      assert(store:append { event "b" })
      assert(store:commit())
      assert.same({ "a", "b" }, column(read_all(store), "stream"))
    end)

    it("sees the ids and versions it wrote itself", function()
      local opened = event "a"
      opened.id = "the-id"
      assert(store:begin())
      assert(store:append { opened })
      assert.is_true(assert(store:append { opened })[1].existed)
      assert.equal(2, assert(store:append { event "a" })[1].version)
      assert(store:commit())
    end)

    it("ends with its connection", function()
      local other = connect()
      assert(other:begin())
      assert(other:append { event "a" })
      other:close()
      assert(store:append { event "b" })
      assert.same({ "b" }, column(read_all(store), "stream"))
    end)

    it("keeps other writers out, who say so", function()
      local other = connect()
      assert(other:begin())
      if driver.side_by_side then
        assert(other:append { event "a" })
      end
      local done, message, code = store:append { event "a" }
      assert.is_nil(done)
      assert.equal("unavailable", code)
      assert.matches("another connection", message)
      other:rollback()
      assert(store:append { event "a" })
    end)

    it("keeps readers out of nothing", function()
      local other = connect()
      local first = assert(store:append { event "a" })[1].position
      assert(other:begin())
      assert(other:append { event "a" })
      assert.equal(1, #read_all(store))
      assert.equal(first, store:head())
      assert(other:commit())
    end)

    it("is refused to commit when there is none", function()
      assert.equal("invalid", select(3, store:commit()))
    end)
  end)

  describe("lag", function()
    it("counts what a reader has not seen", function()
      local events = assert(store:append {
        { stream = "a", type = "Odd", data = "1", recorded_at = 10 },
        { stream = "a", type = "Even", data = "2", recorded_at = 20 },
        { stream = "b", type = "Odd", data = "3", recorded_at = 30 },
      })
      assert.same(
        { events = 3, oldest_recorded_at = 10, exact = true },
        store:lag {})
      assert.same(
        { events = 2, oldest_recorded_at = 20, exact = true },
        store:lag { after = events[1].position })
      assert.same(
        { events = 1, oldest_recorded_at = 30, exact = true },
        store:lag { after = events[1].position, types = { "Odd" } })
      assert.same(
        { events = 1, oldest_recorded_at = 20, exact = true },
        store:lag { after = events[1].position, stream = "a" })
      assert.same(
        { events = 0, exact = true },
        store:lag { after = events[3].position })
    end)
  end)

  describe("the place of a position", function()
    it("never lies before that of a lower one", function()
      assert(store:append(events_of("a", 5)))
      local events = read_all(store)
      local places = {}
      for i, found in ipairs(events) do
        places[i] = store:place(found.position)
      end
      assert.equal(5, #places)
      for i = 2, #places do
        assert.is_true(places[i] >= places[i - 1])
      end
    end)
  end)

  describe("an event", function()
    it("is found by its id", function()
      assert(store:append(events_of("a", 3)))
      local events = read_all(store)
      assert.equal(events[2].position, store:find(events[2].id))
      local position, message, code = store:find "nobody"
      assert.is_nil(position)
      assert.equal("not_found", code)
      assert.matches("nobody", message)
    end)
  end)

  describe("a position", function()
    local texts = driver.texts or decimals

    it("has one form in text", function()
      for _, text in ipairs(texts.good) do
        assert.equal(text, store:parse(text))
      end
    end)

    it("is refused in any other form", function()
      for _, text in ipairs(texts.bad) do
        local position, message, code = store:parse(text)
        assert.is_nil(position)
        assert.equal("invalid", code)
        assert.matches("is not a position", message)
      end
    end)
  end)

  describe("connections", function()
    it("have one identity", function()
      local identity = assert(store:identity())
      assert.equal(identity, connect():identity())
      assert.is_true(#identity > 0)
      local another = assert(event_store.open(driver.url(), driver.options))
      assert.are_not.equal(identity, another:identity())
      another:close()
    end)

    it("see what another one appended", function()
      local other = connect()
      assert(store:append { event "a" })
      assert.equal(1, #read_all(other))
      assert(other:append { event "a" })
      assert.same({ 1, 2 }, column(read_all(store), "version"))
    end)

    it("may outlive the one they were made from", function()
      local other = connect()
      assert(store:append { event "a" })
      store:close()
      assert.equal(1, #read_all(other))
    end)

    it("append in turn without losing anything", function()
      local other = connect()
      for i = 1, 20 do
        assert((i % 2 == 0 and store or other):append { event "a" })
      end
      local versions = column(read_all(store), "version")
      for i = 1, 20 do
        assert.equal(i, versions[i])
      end
    end)
  end)

  describe("threads", function()
    it("append in turn without losing anything", function()
      local patient = assert(event_store.open(driver.url()))
      assert.equal(0, patient:race(4, 50))
      local versions = column(read_all(patient), "version")
      assert.equal(200, #versions)
      for i = 1, 200 do
        assert.equal(i, versions[i])
      end
      patient:close()
    end)

    it("with short transactions are not starved by long ones", function()
      local patient = assert(event_store.open(driver.url()))
      local failed, went_first = patient:beside_hog(20)
      assert.equal(0, failed)
      assert.is_true(went_first <= 60, went_first)
      patient:close()
    end)
  end)

  describe("a tenant", function()
    local function of(tenant, stream)
      return { tenant = tenant, stream = stream, type = "Moved", data = "{}" }
    end

    if not driver.tenants then
      it("is refused, as there would be nowhere to keep it", function()
        local appended, message, code =
          store:append { of(nil, "a"), of("acme", "a") }
        assert.is_nil(appended)
        assert.equal("invalid", code)
        assert.matches('event 2 of 2: it is of the tenant "acme", and a %a+ '
          .. "event store keeps none", message)
        assert.equal(0, #read_all(store))
      end)
      return
    end

    it("has streams of its own", function()
      local appended = assert(store:append {
        of("acme", "a"), of("globex", "a"), of(nil, "a"), of("acme", "a"),
      })
      assert.same({ 1, 1, 1, 2 }, column(appended, "version"))
      local tenants = {}
      for i, found in ipairs(read_all(store)) do
        tenants[i] = found.tenant or "none"
      end
      assert.same({ "acme", "globex", "none", "acme" }, tenants)
    end)

    it("has a name like that of a stream", function()
      local _, message, code = store:append { of("", "a") }
      assert.equal("invalid", code)
      assert.matches("tenant is empty", message)
    end)

    it("is remembered with the checkpoint", function()
      assert(store:append { of("acme", "a"), of("acme", "b"),
        of("globex", "a"), of("acme", "a") })
      local page = assert(store:read { max = 1 })
      assert.is_nil(page.tenants_from)
      assert.matches("^T4:acme", page.state)
      page = assert(store:read {
        max = 2, after = page.reached, state = page.state,
      })
      assert.equal(2, page.tenants_from)
      assert.matches("^M", page.state)
      page = assert(store:read { after = page.reached, state = page.state })
      assert.equal(1, page.tenants_from)
    end)

    it("is forgotten where the type is not wanted", function()
      local other = of("globex", "a")
      other.type = "Closed"
      assert(store:append { of("acme", "a"), other })
      local page = assert(store:read { types = { "Moved" } })
      assert.matches("^T4:acme", page.state)
    end)
  end)

  describe("many events", function()
    it("are read over a filter that matches none of them", function()
      assert(store:begin())
      for _ = 1, 45 do
        assert(store:append(events_of("a", 1000)))
      end
      assert(store:append { event("z", "Rare") })
      assert(store:commit())
      local page = assert(store:read { types = { "Rare" }, max = 10 })
      local events = read_all(store, { types = { "Rare" }, max = 10 })
      assert.equal(1, #events)
      assert.is_true(#page == 1 or page.reached ~= start)
      assert.equal(45001, store:count { max = 999 })
    end)
  end)

  if not driver.polled then
    it("wakes a reader when there is news", function()
      local other = connect()
      assert.is_true(other:wake_fd() >= 0)
      if driver.listening then
        helper.wait(function()
          other:drain()
          return driver.listening() and not other:wait(0)
        end)
      end
      other:drain()
      assert.is_false(other:wait(0))
      assert(store:append { event "a" })
      assert.is_true(other:wait(10000))
      other:drain()
      assert.is_false(other:wait(0))
    end)
  end
end
