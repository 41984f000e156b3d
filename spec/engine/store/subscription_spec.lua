-- One reading of the tail of an event store, for many.

local helper = require "spec.helper"
local event_store = require "event_store_test"
local subscription = require "subscription_test"

local seed = helper.seed(1)

describe("a shared reading #threads", function()
  local tail, subscribers

  local function open(options, url)
    tail = subscription.open(url or "memory:", options or {})
    subscribers = {}
    return tail
  end

  -- With where it is and what it keeps, as a projection has them.
  local function subscriber(types)
    local one = {
      handle = tail:subscriber(), types = types, position = "0", state = "",
      seen = {},
    }
    subscribers[#subscribers + 1] = one
    return one
  end

  local function join(one, at_head)
    return one.handle:join {
      position = one.position, state = one.state, types = one.types,
      at_head = at_head ~= false,
    }
  end

  local function next_batch(one)
    local page, why, words = one.handle:next(one.state)
    if not page then
      return nil, why, words
    end
    one.position, one.state = page.reached, page.state
    for _, data in ipairs(page) do
      one.seen[#one.seen + 1] = tonumber(data)
    end
    return page
  end

  -- Until it has had everything up to there.
  local function follow(one, position)
    helper.wait(function()
      local page, why = next_batch(one)
      assert(page or why == "nothing", why)
      return one.position == position
    end)
  end

  after_each(function()
    for _, one in ipairs(subscribers) do
      one.handle:close()
    end
    tail:close()
  end)

  describe("begins", function()
    it("with somebody who is at the head", function()
      open()
      local one = subscriber()
      assert.equal("later", join(one, false))
      assert.equal("joined", join(one))
      assert.is_true(one.handle:has_joined())
      follow(one, tail:append("a", "T", "1"))
      assert.same({ 1 }, one.seen)
    end)

    it("anew when all have left", function()
      open()
      local one, other = subscriber(), subscriber()
      join(one)
      follow(one, tail:append("a", "T", "1"))
      one.handle:leave()
      assert.same({ nil, "left" }, { one.handle:next(one.state) })
      assert.equal("later", join(other, false))
      assert.equal("joined", join(one))
      follow(one, tail:append("a", "T", "2"))
      assert.same({ 1, 2 }, one.seen)
    end)

    it("again after it was stopped", function()
      open()
      local one = subscriber()
      join(one)
      tail:stop()
      assert.same({ nil, "left" }, { one.handle:next(one.state) })
      assert.equal("joined", join(one))
      follow(one, tail:append("a", "T", "1"))
    end)
  end)

  describe("is joined", function()
    local one, other

    before_each(function()
      open { live = 1 }
      one, other = subscriber(), subscriber()
      join(one)
      for i = 1, 3 do
        follow(one, tail:append("a", "T", tostring(i)))
      end
    end)

    it("at a place that it came to", function()
      other.position, other.state = one.position, one.state
      assert.equal("joined", join(other, false))
      follow(other, tail:append("a", "T", "4"))
      assert.same({ 4 }, other.seen)
    end)

    it("by somebody who knows of nothing, where all began", function()
      assert.equal("joined", join(other, false))
      follow(other, one.position)
      assert.same({ 1, 2, 3 }, other.seen)
    end)

    it("further on by somebody who is between its places", function()
      open { live = 1000 }
      one, other = subscriber(), subscriber()
      join(one)
      follow(one, tail:append("a", "T", "1"))
      other.position, other.state = one.position, "Aother"
      follow(one, tail:append("a", "T", "2"))
      assert.same({ "upto", one.position }, { join(other, false) })
    end)

    it("not by somebody who is ahead of it", function()
      other.position, other.state = "9", "Ax"
      assert.equal("later", join(other))
    end)

    it("not with another state", function()
      other.position, other.state = one.position, "Aother"
      assert.equal("later", join(other))
    end)

    it("only where it read what is wanted", function()
      open { live = 1 }
      one, other = subscriber { "A" }, subscriber { "B" }
      join(one)
      tail:append("a", "B", "1")
      follow(one, tail:append("a", "A", "2"))
      assert.same({ "upto", one.position }, { join(other, false) })
      local third = subscriber { "A" }
      assert.equal("joined", join(third, false))
      other.position, other.state = one.position, one.state
      assert.equal("joined", join(other, false))
      local last = tail:append("a", "B", "3")
      follow(other, last)
      assert.same({ 3 }, other.seen)
    end)

    it("not where a read without what is wanted is under way", function()
      open()
      tail:hold()
      one, other = subscriber { "A" }, subscriber { "B" }
      join(one)
      helper.wait(function()
        return tail:is_held()
      end)
      tail:append("a", "B", "1")
      local answer = join(other)
      tail:let_go()
      assert.equal("later", answer)
      follow(one, "1")
      assert.same({ "upto", "1" }, { join(other) })
    end)
  end)

  describe("gives", function()
    it("each one what it wants, and everybody the position", function()
      open()
      local one, other, third =
        subscriber { "A" }, subscriber { "B", "C" }, subscriber()
      for _, each in ipairs(subscribers) do
        assert.equal("joined", join(each))
      end
      local last
      for i, type in ipairs { "A", "B", "A", "C", "D" } do
        last = tail:append("a", type, tostring(i))
      end
      for _, each in ipairs(subscribers) do
        follow(each, last)
      end
      assert.same({ 1, 3 }, one.seen)
      assert.same({ 2, 4 }, other.seen)
      assert.same({ 1, 2, 3, 4, 5 }, third.seen)
    end)

    it("states that a reader goes on from", function()
      local url = "sqlite:" .. helper.tmpdir() .. "/events.db"
      open({}, url)
      local one = subscriber { "A" }
      join(one)
      tail:append("a", "A", "1")
      follow(one, tail:append("a", "B", "2"))
      tail:append("a", "A", "3")
      local store = assert(event_store.open(url))
      local page = assert(store:read {
        after = one.position, state = one.state, types = one.types,
      })
      assert.equal("3", page[1].data)
      store:close()
    end)

    it("each one the tenants that it saw", function()
      open()
      local one, other = subscriber { "A" }, subscriber { "B" }
      join(one)
      join(other)
      tail:append("a", "A", "1", "x")
      tail:append("a", "B", "2", "y")
      local last = tail:append("a", "B", "3", "z")
      local from
      helper.wait(function()
        local page = next_batch(other)
        from = page and page.tenants_from or from
        return other.position == last
      end)
      follow(one, last)
      assert.equal("T1:x", one.state:sub(1, 4))
      assert.equal("M", other.state:sub(1, 1))
      assert.is_number(from)
    end)

    it("nothing as long as there is nothing", function()
      open()
      local one = subscriber()
      join(one)
      follow(one, tail:append("a", "T", "1"))
      helper.wait(function()
        return select(2, next_batch(one)) == "nothing"
      end)
    end)

    it("soon what was only held back, where looks are dear", function()
      open()
      tail:hold_back()
      local one = subscriber()
      join(one)
      -- As news it would be looked for every 20 seconds.
      helper.wait(function()
        return tail:looks() >= 3
      end)
    end)

    it("what stays until the next", function()
      open { live = 1, kept = 40000 }
      local one, other = subscriber(), subscriber()
      join(one)
      join(other)
      tail:append("a", "T", '"' .. ("x"):rep(1000) .. '"')
      local page
      helper.wait(function()
        page = next_batch(other)
        return page and #page == 1
      end)
      for i = 1, 200 do
        follow(one, tail:append("a", "T", tostring(i)))
      end
      assert.equal(page[1], other.handle:view()[1])
    end)
  end)

  describe("wakes", function()
    it("whoever wants an event", function()
      open()
      local one, other = subscriber { "A" }, subscriber { "B" }
      join(one)
      join(other)
      follow(other, tail:append("a", "A", "1"))
      local before = one.handle:wakes()
      follow(one, other.position)
      tail:append("a", "A", "2")
      helper.wait(function()
        return one.handle:wakes() > before
      end)
    end)

    it("nobody again who did not come", function()
      open { live = 1 }
      local one, other = subscriber(), subscriber()
      join(one)
      join(other)
      follow(one, tail:append("a", "T", "0"))
      helper.wait(function()
        return other.handle:wakes() > 0
      end)
      local before = other.handle:wakes()
      for i = 1, 50 do
        follow(one, tail:append("a", "T", tostring(i)))
      end
      assert.equal(before, other.handle:wakes())
    end)

    it("others for the position, in a while", function()
      open()
      local one, other = subscriber { "A" }, subscriber { "B" }
      join(one)
      join(other)
      follow(one, tail:append("a", "A", "1"))
      follow(other, one.position)
      local before = other.handle:wakes()
      tail:append("a", "A", "2")
      helper.wait(function()
        return other.handle:wakes() > before
      end)
      helper.wait(function()
        next_batch(other)
        return other.position == "2"
      end)
      assert.same({}, other.seen)
    end)
  end)

  describe("leaves behind", function()
    it("who is slow, and nobody waits for him", function()
      open { live = 1 }
      local one, slow = subscriber(), subscriber()
      join(one)
      join(slow)
      for i = 1, 100 do
        follow(one, tail:append("a", "T", tostring(i)))
      end
      assert.same({ nil, "left" }, { slow.handle:next(slow.state) })
      assert.is_false(slow.handle:has_joined())
      local answer, upto = join(slow)
      assert.equal("upto", answer)
      assert.is_true(tonumber(upto) > 30)
      slow.position, slow.state = one.position, one.state
      assert.equal("joined", join(slow))
    end)

    it("who is slow, for one who wants nothing and need not come", function()
      open { live = 1, batch = 1 }
      local one, other = subscriber { "A" }, subscriber { "B" }
      join(one)
      join(other)
      follow(one, tail:append("a", "B", "0"))
      local last
      for i = 1, 200 do
        last = tail:append("a", "A", tostring(i))
      end
      local comes = 0
      helper.wait(function()
        comes = comes + 1
        next_batch(other)
        return other.position == last
      end)
      assert.is_true(comes < 100, comes)
      assert.same({ nil, "left" }, { one.handle:next(one.state) })
    end)

    it("nobody as long as all are busy", function()
      open { live = 1 }
      local one, other = subscriber(), subscriber()
      join(one)
      join(other)
      local last
      for i = 1, 300 do
        last = tail:append("a", "T", tostring(i))
      end
      helper.wait(function()
        local moved = next_batch(one)
        moved = next_batch(other) or moved
        return not moved and one.position == last
      end)
      assert.equal(300, #one.seen)
      assert.equal(300, #other.seen)
    end)

    it("who would hold more than there is room for", function()
      open { live = 100, kept = 8 * 1000 }
      local one, slow = subscriber(), subscriber()
      join(one)
      join(slow)
      local data = '"' .. ("x"):rep(900) .. '"'
      for _ = 1, 30 do
        follow(one, tail:append("a", "T", data))
      end
      assert.same({ nil, "left" }, { slow.handle:next(slow.state) })
    end)
  end)

  describe("whose store", function()
    it("is away keeps everybody, and says why", function()
      open({}, "faulty+memory:?fail=read:3&times=50&code=unavailable")
      local one = subscriber()
      join(one)
      local words
      helper.wait(function()
        local _, why, message = next_batch(one)
        words = message
        return why == "away"
      end)
      assert.matches("faulty", words)
      tail:append("a", "T", "1")
      helper.wait(function()
        next_batch(one)
        return one.position == "1"
      end)
      assert.is_true(one.handle:wakes() > 0)
      assert.is_true(one.handle:has_joined())
    end)

    it("fails lets everybody go on by himself", function()
      open({}, "faulty+memory:?fail=read:5")
      local one, other = subscriber(), subscriber()
      join(one)
      join(other)
      helper.wait(function()
        tail:append("a", "T", "1")
        next_batch(one)
        return not one.handle:has_joined()
      end)
      helper.wait(function()
        return other.handle:wakes() > 0
      end)
      assert.equal("left", select(2, next_batch(other)))
      assert.equal("joined", join(one))
    end)
  end)
end)

-- Some follow, some read by themselves, and change their minds.
describe("readers that join a reading and leave it #threads, seed " .. seed,
  function()
    it("get every event once and in order", function()
      local random = helper.random(seed)
      local url = "sqlite:" .. helper.tmpdir() .. "/events.db"
      local tail = subscription.open(url, { live = 3, batch = 12, kept = 4000 })
      local readers, count, joins = {}, 0, 0
      for i, types in ipairs { {}, { "A" }, { "B" }, { "A", "C" }, { "D" } } do
        readers[i] = {
          handle = tail:subscriber(), store = assert(event_store.open(url)),
          types = #types > 0 and types or nil, position = "0", state = "",
          seen = {},
        }
      end
      local wanted = {}
      local function append()
        local type = random:pick { "A", "A", "B", "C", "D", "E" }
        count = count + 1
        tail:append("s" .. random:within(1, 3), type, tostring(count))
        for i, one in ipairs(readers) do
          wanted[i] = wanted[i] or {}
          local all = not one.types
          for _, name in ipairs(one.types or {}) do
            all = all or name == type
          end
          if all then
            table.insert(wanted[i], count)
          end
        end
      end
      local function take(one, page)
        for _, event in ipairs(page) do
          one.seen[#one.seen + 1] =
            tonumber(type(event) == "table" and event.data or event)
        end
        one.position, one.state = page.reached, page.state
        one.live = page.at_head
      end
      local function step(one)
        if random:chance(5) then
          one.handle:leave()
        end
        local page, why = one.handle:next(one.state)
        if page then
          take(one, page)
        elseif why == "left" then
          local answer, upto = one.handle:join {
            position = one.position, state = one.state, types = one.types,
            at_head = one.live or false,
          }
          joins = joins + (answer == "joined" and 1 or 0)
          if answer ~= "joined" then
            take(one, assert(one.store:read {
              after = one.position, state = one.state, types = one.types,
              max = random:within(1, 9), upto = upto,
            }))
          end
        else
          assert.equal("nothing", why)
        end
      end
      for _ = 1, 3000 do
        if random:chance(30) then
          append()
        end
        step(random:chance(70) and readers[1] or random:pick(readers))
      end
      for i, one in ipairs(readers) do
        helper.wait(function()
          for _ = 1, 50 do
            step(one)
          end
          return one.position == tostring(count)
        end)
        assert.same(wanted[i], one.seen)
        one.handle:close()
        one.store:close()
      end
      assert.is_true(joins > 20, joins)
      tail:close()
    end)
  end)
