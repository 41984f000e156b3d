local helper = require "spec.helper"
local postgres = require "spec.postgres_server"

describe("bench/run #postgres", function()
  local server, reason = postgres.start()
  if not server then
    pending(reason)
    return
  end

  local function measure(...)
    local code, out, err = helper.run({ "lua5.4", "bench/run", ... }, {
      cwd = helper.root,
      timeout = 300,
      env = {
        LUNETTE_BUILD = helper.build,
        BENCH_DIR = helper.tmpdir(),
        BENCH_EVENTS = "1500",
        BENCH_APPENDS = "20",
        BENCH_TURNS = "1",
        BENCH_MANY = "3",
        BENCH_MARKS = "5",
        BENCH_IDLE = "0.1",
        BENCH_CATCH_UP = "2",
      },
    })
    assert.equal(0, code, err)
    return out
  end

  local function count(text, pattern)
    return (select(2, text:gsub(pattern, "")))
  end

  it("measures every pair of stores, however little there is", function()
    local out = measure()
    for _, kind in ipairs { "SQLite", "PostgreSQL" } do
      assert.matches(kind .. " to " .. kind .. ", 1500 events", out, 1, true)
      assert.matches(kind .. " to " .. kind .. " with indexes", out, 1, true)
      assert.matches(kind .. ": 3 projections live", out, 1, true)
    end
    -- two logs with two batches, three sets of indexes
    assert.equal(2 * (4 + 3), count(out, "| Lunette +| +%d"))
    assert.equal(2 * (4 + 3), count(out, "| C, one thread +| +%d"))
    assert.equal(2, count(out, "append to visible, ms: at most +| +%d"))
    assert.equal(2, count(out, "visible in all, ms: at most +| +%d"))
    assert.equal(2, count(out, "| +2 | +%d+%.%d | "))
  end)

  it("measures longer and longer logs", function()
    local out = measure("curve", "sqlite")
    for _, length in ipairs { "1,500", "15,000", "45,000" } do
      assert.matches("| +" .. length .. " | +50,000 | Lunette ", out)
    end
    assert.matches("| +15,000 | +3,000 | C, one thread ", out)
  end)

  it("says what it does not know", function()
    local code, _, err = helper.run({ "lua5.4", "bench/run", "everything" },
      { cwd = helper.root })
    assert.equal(2, code)
    assert.equal("bench/run: there is no part or store everything\n", err)
  end)
end)
