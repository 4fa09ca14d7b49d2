package postmortem

var ruleMissingFile = rule{
	kind: "missing-file",
	is:   "the heaviest failure is `ENOENT`",
	sure: "likely if the last words name the file, else possible",
	find: func(c *facts) []Sign {
		missing := func(how Certainty, named bool, what, after string) []Sign {
			for i := range c.causes {
				if s := &c.causes[i]; s.errno == eNOENT && s.file != "" && !executes(s.call) && s.score >= verdictWeight && (s.named || !named) {
					list := one(how, s.count, what+" is missing: "+s.short+" failed with ENOENT"+after, s.ev)
					list[0].said = s.short + " failed"
					return list
				}
			}
			return nil
		}
		if list := missing(Likely, true, "a file that it could not do without", ", and the last words name it"); list != nil {
			return list
		}
		return missing(Possible, false, "a file that it looked for just before", "")
	},
}
