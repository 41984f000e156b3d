require "spec.helper"
local values = require "values_test"

describe("text that is shown", function()
  it("is what it was where it can be seen", function()
    for _, text in ipairs {
      "", "plain ~", "Grüße, 世界", "🎈", "e\u{301}", "\u{a0}\u{2003}", "\\n",
    } do
      assert.equal(text, values.shown(text))
    end
  end)

  it("has no command to a terminal, and nothing that hides", function()
    for text, shown in pairs {
      ["\27[2J"] = "\\u001b[2J",
      ["a\nb\t\r"] = "a\\nb\\t\\r",
      ["\0\127"] = "\\u0000\\u007f",
      ["\u{9b}2J"] = "\\u009b2J",
      ["a\u{202e}b"] = "a\\u202eb",
      ["\u{2066}\u{2069}"] = "\\u2066\\u2069",
      ["\u{200b}\u{200f}"] = "\\u200b\\u200f",
      ["\u{feff}"] = "\\ufeff",
      ["\u{ad}"] = "\\u00ad",
      ["\u{2060}\u{180e}\u{3164}\u{61c}"] = "\\u2060\\u180e\\u3164\\u061c",
      ["\u{e0041}"] = "\\ue0041",
      ["\u{fe0f}"] = "\\ufe0f",
    } do
      assert.equal(shown, values.shown(text))
    end
  end)

  it("names the bytes that are not UTF-8", function()
    assert.equal("a\\xff\\xc3(", values.shown "a\xff\xc3(")
    assert.equal("\\xed\\xa0\\x80", values.shown "\xed\xa0\x80")
    assert.equal("\\xe2\\x82", values.shown "\xe2\x82")
  end)

  it("is cut at the end of its array, never within a character", function()
    assert.equal("ab\\u202e", values.shown_lines("ab\u{202e}", 9))
    assert.equal("ab", values.shown_lines("ab\u{202e}", 8))
    assert.equal("1234567", values.shown_lines("1234567ü", 9))
    assert.equal("1\n2\t3", values.shown_lines("1\n2\t3", 9))
  end)

  it("is one line in a message, and whole to its last character", function()
    assert.equal("a b\\u001bc", values.failure "a\nb\27c")
    assert.equal("x\\xff: a\\u202e", values.failure("a\u{202e}", "x\xff"))
    local long = values.failure(("ü"):rep(600))
    assert.equal(("ü"):rep(255), long)
  end)
end)

describe("a password", function()
  local function hides(shown, text)
    assert.equal(shown, values.masked(text))
    assert.equal(shown, values.failure(text))
  end

  it("is masked in a URL, up to the last @", function()
    hides("postgres://ada:***@host/db", "postgres://ada:secret@host/db")
    hides("postgres://ada:***@host/db", "postgres://ada:se@cr@et@host/db")
    hides("postgres://ada:***@host/db", "postgres://ada:s/e?c#r@et@host/db")
    hides('"sql://:***@h" and x://a:***@b', '"sql://:abcd@h" and x://a:bcde@b')
    hides("x://a:**@b", "x://a:bc@b")
    hides("x://a:@b", "x://a:@b")
  end)

  it("is masked where a blank or a quote is in it", function()
    hides('"postgres://ada:***@host/db"', '"postgres://ada:se cret@host/db"')
    hides("postgres://ada:***@host/db", "postgres://ada:se\"c'r et@host/db")
  end)

  it("is masked where its URL was cut before the @", function()
    hides("postgres://ada:***", "postgres://ada:secret")
    hides("postgres://ada:*** more", "postgres://ada:12se more")
    local url = "postgres://ada:" .. ("s"):rep(600) .. "@host/db"
    hides("postgres://ada:***@host/db", url)
  end)

  it("is masked behind password=", function()
    hides("x://h/d?password=***&a=b", "x://h/d?password=secret&a=b")
    hides("x://h/d?sslpassword=***", "x://h/d?sslpassword=secret")
    hides("host=db password=*** user=u", "host=db password=secret user=u")
    hides("password = *** user=u", "password = 'se cr\\'et' user=u")
  end)

  it("is nothing that looks a little like one", function()
    for _, text in ipairs {
      "postgres://ada@host:5432/db", "postgres://host:5432/db?x=y",
      "postgres://[::1]:5432/db", "postgres://ada@[::1]:5432/db",
      "postgres://a:1,b:2/db", "http://host:80", "sqlite:a.db",
      "no password supplied", "a://b", "://", "x://a:5432: no",
    } do
      hides(text, text)
    end
  end)
end)
