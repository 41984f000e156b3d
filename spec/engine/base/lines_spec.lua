-- How a call of a handle has an open line, and what it is told where not.

local _ = require "spec.helper"
local lines_test = require "lines_test"

describe("a handle's calls", function()
  local lines, one, other

  local function new(count)
    lines = lines_test.new(count, 1)
    one, other = lines:handle(), lines:handle()
  end

  it("have a line each, the one that is open first", function()
    new(3)
    local line = one:enter()
    assert.not_equal(line, other:enter())
    one:leave()
    other:leave()
    lines:close(line)
    assert.not_equal(line, one:enter())
  end)

  it("are told when all are busy", function()
    new(1)
    one:enter()
    assert.same({ nil, "unavailable", "there: all 1 connections are busy: "
      .. "raise the setting connections, or call_timeout_ms, which is how long "
      .. "one is waited for" }, { other:enter() })
    one:leave()
    assert.equal(1, other:enter())
  end)

  it("leave half of them to the others where they are long", function()
    new(2)
    assert.is_number(one:enter "long")
    assert.same({ nil, "again", "there: as many connections as may be are busy "
      .. "with long calls" }, { other:enter "long" })
    assert.is_number(other:enter())
  end)

  it("favour one line where they ask for that", function()
    new(3)
    local line = one:enter "favoured"
    local second = other:enter()
    other:leave()
    one:leave()
    assert.equal(second, one:enter())
    assert.equal(line, other:enter "favoured")
  end)

  it("use another one where theirs cannot be opened", function()
    new(2)
    local first = one:enter()
    one:leave()
    lines:close(3 - first, "unavailable")
    local third = lines:handle()
    assert.equal(first, third:enter())
    local _, code = other:enter()
    assert.equal("unavailable", code)
    third:leave()
    assert.equal(first, other:enter())
  end)

  it("fail where none is open and none can be, and hold nothing", function()
    new(2)
    lines:close(1, "config")
    lines:close(2, "config")
    for _ = 1, 3 do
      assert.same({ nil, "config", "refused" }, { one:enter() })
      assert.same({ nil, "config", "refused" }, { one:enter "long" })
    end
  end)

  describe("with a line that is kept", function()
    it("have that, and nobody else has", function()
      new(2)
      local kept = one:keep()
      assert.equal(kept, one:enter "long")
      assert.equal(3 - kept, other:enter())
      local _, code = lines:handle():enter()
      assert.equal("unavailable", code)
      one:leave()
      _, code = lines:handle():enter()
      assert.equal("unavailable", code)
      one:give_up()
      assert.equal(kept, one:enter())
    end)

    it("go on with another one while it cannot be opened", function()
      new(2)
      local kept = one:keep()
      other:enter()
      lines:close(kept, "unavailable")
      other:leave()
      assert.equal(3 - kept, one:enter())
      one:leave()
      lines:close(kept)
      assert.equal(kept, one:enter())
      one:leave()
      one:give_up()
    end)

    it("keep none of too few", function()
      new(1)
      local line, code = one:keep()
      assert.same({ nil, "ok" }, { line, code })
      assert.equal(1, other:enter())
    end)

    it("are refused where it cannot be opened at all", function()
      new(2)
      lines:close(1, "unavailable")
      lines:close(2, "unavailable")
      local _, code, message = one:keep()
      assert.equal("unavailable", code)
      assert.equal("refused", message)
    end)
  end)
end)
