-- What a sqlite URL means: a file, and nothing that is not understood.

local helper = require "spec.helper"
local event_store = require "event_store_test"
local kit = require "spec.stores.model_kit"

describe("a sqlite URL", function()
  local folder

  before_each(function()
    folder = helper.tmpdir()
  end)

  local function files()
    local _, out = helper.run { "ls", folder }
    local list = {}
    for name in out:gmatch "[^\n]+" do
      if not name:find "%-wal$" and not name:find "%-shm$" then
        list[#list + 1] = name
      end
    end
    return list
  end

  local function refuses(words, rest)
    for _, open in ipairs { event_store.open, kit.open } do
      local store, message, code = open("sqlite:" .. rest)
      assert.is_nil(store)
      assert.equal("config", code)
      if open == event_store.open then
        assert.matches(words, message, 1, true)
      end
    end
    assert.same({}, files())
  end

  it("has no parameter that is not known, and makes no file", function()
    local path = folder .. "/x.db"
    refuses('no parameter "layot" of a URL; did you mean "layout"?',
      path .. "?layot=emmett")
    refuses('no parameter "Layout" of a URL; did you mean "layout"?',
      path .. "?Layout=emmett")
    refuses('no parameter "mode" of a URL', path .. "?mode=ro")
    refuses('no parameter "cache" of a URL',
      path .. "?cache=shared&layout=emmett")
    refuses("no parameters, key=value", path .. "?what now")
    refuses("layout= is twice", path .. "?layout=emmett&layout=eventcore")
    refuses("unwrap= in the URL is for tables of others", path .. "?unwrap=no")
    refuses('there is no layout ""', path .. "?layout")
    refuses('there is no layout "emmet"', path .. "?layout=emmet")
    refuses("there is no such file", path .. "?layout=emmett")
    refuses("unwrap=perhaps", path .. "?unwrap=perhaps&layout=eventcore")
  end)

  it("begins its parameters with a question mark", function()
    refuses("write ?layout=", folder .. "/x.db&layout=emmett")
    refuses("write ?what=", folder .. "/x.db&more&what=1?layout=emmett")
  end)

  it("has no host", function()
    refuses("write sqlite:x.db for a file in this folder, sqlite:/x.db for one",
      "//x.db")
    refuses("a file has no host", "//localhost" .. folder .. "/x.db")
    refuses("no file named", "")
    refuses("no file named", "//")
    refuses("no file named", "?")
  end)

  it("is absolute after three slashes as after one", function()
    assert(event_store.open("sqlite://" .. folder .. "/one.db")):close()
    assert(kit.open("sqlite:" .. folder .. "/two.db")):close()
    assert.same({ "one.db", "two.db" }, files())
  end)

  it("has any other sign as % and two digits", function()
    local names = { "a b.db", "a#b.db", "a%.db", "a&b=c.db", "a?b=c.db" }
    for _, name in ipairs(names) do
      local rest = folder .. "/" .. name:gsub("[?&=]", function(sign)
        return ("%%%02x"):format(sign:byte())
      end)
      assert(event_store.open("sqlite:" .. rest)):close()
      assert(kit.open("sqlite:" .. rest)):close()
    end
    assert(event_store.open("sqlite:" .. folder .. "/a&b")):close()
    names[#names + 1] = "a&b"
    local made = files()
    table.sort(names)
    table.sort(made)
    assert.same(names, made)
    local _, message = event_store.open("sqlite:" .. folder .. "/a%00b")
    assert.matches("PATH= in the URL has a NUL byte", message)
  end)
end)
