local helper = require "spec.helper"

describe("the spec helper", function()
  it("gives a folder of its own each time", function()
    local one, two = helper.tmpdir(), helper.tmpdir()
    assert.not_equal(one, two)
    helper.write_file(one .. "/file", "text\0more")
    assert.equal("text\0more", helper.read_file(one .. "/file"))
  end)

  it("runs a program and returns its code and output", function()
    local code, out, err = helper.run "echo out; echo err >&2; exit 3"
    assert.same({ 3, "out\n", "err\n" }, { code, out, err })
  end)

  it("hands over input, folder and environment", function()
    local folder = helper.tmpdir()
    local _, out = helper.run("cat; pwd; echo $LUNETTE_X", {
      stdin = "in\n",
      cwd = folder,
      env = { LUNETTE_X = "y" },
    })
    assert.equal("in\n" .. folder .. "\ny\n", out)
  end)

  it("gives the command no settings but those of the spec", function()
    helper.setenv("LUNETTE_WHATEVER", "1")
    local _, _, plain = helper.run { helper.lunette, "help",
      "--json" }
    local _, _, shell = helper.run(helper.lunette
      .. " help --json >/dev/null")
    local _, other = helper.run "echo $LUNETTE_WHATEVER"
    helper.setenv("LUNETTE_WHATEVER", nil)
    assert.same({ "", "", "1\n" }, { plain, shell, other })
  end)

  it("limits the size of files", function()
    local code, _, err = helper.run(
      "head -c 9000 /dev/zero >big",
      { cwd = helper.tmpdir(), fsize_limit = 4096 })
    assert.not_equal(0, code)
    assert.matches("File too large", err)
  end)

  it("waits for a process with a limit and kills it", function()
    local child = helper.spawn { "sleep", "100" }
    assert.is_nil(child:wait(10))
    child:kill "KILL"
    assert.same({ 137, 9 }, { child:wait() })
  end)

  it("stops a program that runs too long", function()
    assert.error_matches(function()
      helper.run("sleep 100", { timeout = 0.05 })
    end, "still ran after 0.05 seconds")
  end)

  describe("with a seed", function()
    local before = os.getenv "LUNETTE_SEED"
    local fresh = os.getenv "LUNETTE_FRESH_SEED"

    after_each(function()
      helper.setenv("LUNETTE_SEED", before)
      helper.setenv("LUNETTE_FRESH_SEED", fresh)
    end)

    local function numbers(seed)
      local r, list = helper.random(seed), {}
      for i = 1, 50 do
        list[i] = r:within(-3, 12)
      end
      return table.concat(list, " ") .. r:pick { "a", "b", "c" }
    end

    it("takes LUNETTE_SEED before any other", function()
      helper.setenv("LUNETTE_SEED", "-17")
      assert.same({ -17, -17 }, { helper.seed(), helper.seed(5) })
      helper.setenv("LUNETTE_SEED", nil)
      helper.setenv("LUNETTE_FRESH_SEED", "31")
      assert.same({ 31, 5 }, { helper.seed(), helper.seed(5) })
      helper.setenv("LUNETTE_FRESH_SEED", nil)
      assert.equal(5, helper.seed(5))
      assert.equal("integer", math.type(helper.seed()))
    end)

    it("takes nothing but an integer", function()
      helper.setenv("LUNETTE_SEED", "today")
      assert.error_matches(function()
        helper.seed(5)
      end, "LUNETTE_SEED is no integer: today")
    end)

    it("gives the same numbers for the same seed", function()
      assert.equal(numbers(20), numbers(20))
      assert.not_equal(numbers(20), numbers(21))
      local r = helper.random(1)
      assert.same({ 90, 10, 64 },
        { r:within(1, 100), r:within(1, 100), r:within(1, 100) })
    end)

    it("gives every number from low to high", function()
      local r, seen, count = helper.random(3), {}, 0
      for _ = 1, 200 do
        local n = r:within(-2, 2)
        assert.is_true(n >= -2 and n <= 2)
        count = count + (seen[n] and 0 or 1)
        seen[n] = true
      end
      assert.equal(5, count)
    end)
  end)

  it("waits for a condition with a limit", function()
    local turns = 0
    assert.equal(3, helper.wait(function()
      turns = turns + 1
      return turns == 3 and turns
    end))
    assert.error_matches(function()
      helper.wait(function() return false end, 0.02)
    end, "in vain")
  end)
end)
