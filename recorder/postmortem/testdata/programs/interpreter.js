#!/usr/local/bin/node18
console.log("hello")
