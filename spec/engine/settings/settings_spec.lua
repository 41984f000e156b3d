local helper = require "spec.helper"
local settings = require "settings_test"

local entries = settings.entries()

local function fails_with(given, ...)
  local made, message, code = settings.make(given)
  assert.is_nil(made)
  assert.equal("config", code)
  for _, part in ipairs { ... } do
    assert.truthy(message:find(part, 1, true), message)
  end
end

describe("settings", function()
  it("have their defaults when nothing is given", function()
    local made = assert(settings.make {})
    for _, entry in ipairs(entries) do
      local value = made[entry.name]
      assert.equal(entry.initial, value and tostring(value), entry.name)
    end
    assert.is_nil(made.events)
    assert.equal("normal", made.synchronous)
    assert.equal(192 * 1024 * 1024, made.memory_bytes)
  end)

  it("take what is given, the last one winning", function()
    local made = assert(settings.make {
      { "events", "sqlite:a.db" },
      { "poll_ms", "5" },
      { "events", "sqlite:b.db" },
      { "synchronous", "full" },
      { "poll_ms", "7" },
    })
    assert.equal("sqlite:b.db", made.events)
    assert.equal("full", made.synchronous)
    assert.equal(7, made.poll_ms)
    assert.equal(50000, made.batch_events)
  end)

  it("take every number at both of its limits and none beyond", function()
    for _, entry in ipairs(entries) do
      if entry.type == "number" then
        for _, value in ipairs { entry.least, entry.most } do
          assert(settings.make { { entry.name, tostring(value) } })
        end
        for _, value in ipairs { entry.least - 1, entry.most + 1 } do
          fails_with({ { entry.name, tostring(value) } }, entry.name,
            '"' .. value .. '"', "from " .. entry.least .. " to " .. entry.most)
        end
      end
    end
  end)

  it("refuse what is no whole number", function()
    for _, value in ipairs {
      "", " 5", "5 ", "5.0", "1e3", "0x10", "five", "-", "+5", "--5",
      "9223372036854775808", "-9223372036854775809", "99999999999999999999",
    } do
      fails_with({ { "poll_ms", value } }, 'setting poll_ms: "' .. value .. '"')
    end
  end)

  it("take every word of a choice and no other", function()
    for _, entry in ipairs(entries) do
      if entry.type == "choice" then
        for word in entry.choices:gmatch "[^|]+" do
          local made = assert(settings.make { { entry.name, word } })
          assert.equal(word, made[entry.name])
        end
        for _, word in ipairs { "", "FULL", "f", "fulll", "off|normal", "|" } do
          fails_with({ { entry.name, word } }, entry.name, entry.choices)
        end
      end
    end
  end)

  it("refuse an empty text", function()
    fails_with({ { "events", "" } }, "setting events is empty")
  end)

  it("name a setting that does not exist and the one that was meant", function()
    fails_with({ { "pol_ms", "5" } }, 'no setting "pol_ms"', '"poll_ms"?')
    fails_with({ { "colour", "5" } }, 'no setting "colour"',
      "docs/settings.md")
    fails_with({ { "poll_ms" } }, "poll_ms has no value")
    fails_with({ {} }, "has no name")
  end)

  it("say what stands in the place of one that is gone", function()
    for name in ("batch_bytes cache_bytes sqlite_cache_kib"):gmatch "%S+" do
      fails_with({ { name, "5" } },
        ('no setting "%s" any more: memory_bytes'):format(name))
    end
  end)

  it("lower what another setting bounds", function()
    local made = assert(settings.make {
      { "batch_events", "10" },
      { "query_limit_max", "20" },
      { "retry_max_ms", "30" },
    })
    assert.equal(10, made.live_events)
    assert.equal(20, made.query_limit)
    assert.equal(30, made.retry_ms)
  end)
end)

describe("the table of settings", function()
  it("has words for people in every entry", function()
    for _, entry in ipairs(entries) do
      assert.truthy(entry.name:match "^[a-z_]+$", entry.name)
      assert.truthy(entry.argument:match "^[A-Z]+$", entry.name)
      assert.truthy(entry.help:match "^[A-Z].*%.$", entry.name)
    end
  end)

  it("has defaults that it would accept", function()
    for _, entry in ipairs(entries) do
      if entry.initial then
        assert(settings.make { { entry.name, entry.initial } })
      else
        assert.equal("url", entry.type)
      end
    end
  end)
end)

describe("docs/settings.md", function()
  local function row(entry)
    local default = entry.initial and "`" .. entry.initial .. "`" or "none"
    local allowed = "a " .. entry.argument
    if entry.type == "choice" then
      allowed = entry.choices:gsub("[^|]+", "`%0`"):gsub("|", ", ")
    elseif entry.type == "number" then
      allowed = entry.least .. " to " .. entry.most
    end
    return ("| `%s` | %s | %s | %s |"):format(
      entry.name, default, allowed, entry.help)
  end

  it("lists every setting as the table has it, in the same order", function()
    local listed = {}
    local file = helper.root .. "/docs/settings.md"
    for line in helper.read_file(file):gmatch "[^\n]+" do
      if line:match "^| `[a-z_]+` |" then
        listed[#listed + 1] = line
      end
    end
    for i, entry in ipairs(entries) do
      assert.equal(row(entry), listed[i])
    end
    assert.equal(#entries, #listed)
  end)
end)
